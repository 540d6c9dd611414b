"""The program: command line, application, main window, link to the backend."""
