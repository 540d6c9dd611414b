# Set-up shared by ./run and ./test; read by them with ".", POSIX sh, works on a bare Debian 12.
# The caller sets: project (absolute folder), package_set ("run" or "test"), steps (how many it will print).

# Libraries of the Qt and numba wheels: the first line is enough to draw without a screen, the rest is for X11.
window_packages="libgl1 libglib2.0-0 libfontconfig1 libx11-6 libxext6 fonts-dejavu-core libgomp1
    libdbus-1-3 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
    libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0 libxkbcommon0 libx11-xcb1 ca-certificates"
test_packages="xvfb xauth xdotool imagemagick slurm-wlm munge openssh-server slurmrestd slurm-wlm-jwt-plugin faketime"
python_packages="python3 python3-venv"

exit_failed=1
exit_needs_root=3
step_number=0

# A beamline account often carries Python settings of other programs; they would shadow our packages.
unset PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

step() {
    step_number=$((step_number + 1))
    printf '[%d/%d] %s\n' "$step_number" "$steps" "$1"
}

say() {
    printf '      %s\n' "$@"
}

fail() {
    printf '\n%s\n' "$1" >&2
    shift
    for sentence in "$@"; do printf '  %s\n' "$sentence" >&2; done
    exit "$exit_failed"
}

# Prints the first Python that is new enough and can make environments; fails when there is none.
find_python() {
    for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Names of installed packages, one a line, with what they provide: newer releases rename some (libglib2.0-0t64).
installed_packages() {
    dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' |
        sed -n 's/^installed //p' | tr ',' '\n' | sed 's/ *(.*//; s/^ *//'
}

missing_packages() {
    wanted=$window_packages
    [ "$package_set" = test ] && wanted="$wanted $test_packages"
    find_python >/dev/null || wanted="$python_packages $wanted"
    present=$(installed_packages)
    missing=
    for package in $wanted; do
        printf '%s\n' "$present" | grep -qxF "$package" || missing="$missing $package"
    done
    printf '%s' "${missing# }"
}

install_packages() {
    apt="apt-get -q -o DPkg::Lock::Timeout=900 -o Dpkg::Use-Pty=0"
    export DEBIAN_FRONTEND=noninteractive
    # The lock of this set-up (descriptor 9) must not stay open in a service that a package might start.
    # shellcheck disable=SC2086 # both variables are lists of words
    $apt update 9>&- </dev/null && $apt install -y --no-install-recommends $1 9>&- </dev/null
}

set_up_system_packages() {
    step "System packages"
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "This is not a Debian system, so nothing is checked. Needed are the libraries that Debian calls:" \
            "$(printf '%s ' $window_packages)"
        return 0
    fi
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        say "All there."
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        printf '\n%s\n\n    %s\n\n%s\n' "These system packages are missing and only root can install them:" \
            "sudo apt-get update && sudo apt-get install --no-install-recommends $missing" "Then start $0 again." >&2
        exit "$exit_needs_root"
    fi
    say "Installing: $missing"
    install_packages "$missing" || fail "The system packages could not be installed; apt says why above." \
        "Nothing else was changed. Check the network and the apt sources, then start $0 again."
}

# What the environment was made from: when any of it changes, the packages are installed again.
environment_fingerprint() {
    {
        cat "$project/pyproject.toml" "$project/constraints.txt" "$project/.ci/setup.sh"
        "$project/.venv/bin/python" -VV
        printf '%s\n' "$project"
    } | sha256sum | cut -d ' ' -f 1
}

environment_works() {
    [ -x "$project/.venv/bin/python" ] && [ ! -e "$project/.venv/unfinished" ] &&
        "$project/.venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The scripts inside an environment name its folder, so a moved checkout needs a new one.
environment_was_moved() {
    [ -f "$project/.venv/made-in" ] && [ "$(cat "$project/.venv/made-in")" != "$project" ]
}

packages_are_current() {
    [ -x "$project/.venv/bin/mento-gui" ] && [ -f "$project/.venv/installed" ] || return 1
    read -r installed_fingerprint installed_set <"$project/.venv/installed" || return 1
    [ "$installed_fingerprint" = "$(environment_fingerprint)" ] || return 1
    [ "$installed_set" = "$package_set" ] || [ "$installed_set" = test ]
}

set_up_environment() {
    step "Python environment .venv"
    if environment_works && ! environment_was_moved; then
        say "There, with $("$project/.venv/bin/python" -V)."
        return 0
    fi
    python=$(find_python) || fail "No Python 3.11 or newer that can make environments was found." \
        "Install one (Debian: python3 python3-venv) and start $0 again."
    [ -e "$project/.venv" ] && say "The one that is there is unfinished, moved or broken: making it anew."
    say "Making it with $python ($("$python" -V))."
    rm -rf "$project/.venv"
    mkdir "$project/.venv"
    touch "$project/.venv/unfinished"
    "$python" -m venv "$project/.venv" || fail "The Python environment could not be made; the reason stands above." \
        "Check the free space in $project (about 1 GB is needed), then start $0 again."
    printf '%s\n' "$project" >"$project/.venv/made-in"
    rm "$project/.venv/unfinished"
}

pip_install() {
    # The marker stays when this is killed half-way; then the next start makes the environment anew.
    touch "$project/.venv/unfinished"
    if "$project/.venv/bin/python" -m pip install --no-input -c "$project/constraints.txt" "$@" </dev/null; then
        rm "$project/.venv/unfinished"
    else
        rm "$project/.venv/unfinished"
        fail "The Python packages could not be installed; pip says why above." \
            "Check the network and the free space in $project, then start $0 again."
    fi
}

set_up_python_packages() {
    step "Python packages"
    if packages_are_current; then
        say "Unchanged since they were installed."
        return 0
    fi
    target="${project}[gui]"
    [ "$package_set" = test ] && target="${project}[gui,test]"
    say "Installing the locked versions (a few hundred megabytes the first time)."
    # The build tool comes from the same lock file; pip's isolated build would fetch whatever is newest.
    pip_install --quiet setuptools
    pip_install --no-build-isolation -e "$target"
    [ -f "$project/.venv/made-in" ] || printf '%s\n' "$project" >"$project/.venv/made-in"
    printf '%s %s\n' "$(environment_fingerprint)" "$package_set" >"$project/.venv/installed"
}

# One set-up at a time in one checkout: a second caller waits, then finds everything done.
set_up() {
    if ! mkdir -p "$project/.setup" 2>/dev/null || ! true 2>/dev/null >>"$project/.setup/lock"; then
        environment_works && packages_are_current && return 0
        fail "$project is not set up and you may not write there." \
            "Ask its owner to start $0 --setup-only once, or clone the repository into a folder of yours."
    fi
    exec 9>>"$project/.setup/lock"
    if ! flock -n 9; then
        say "Another set-up runs in this folder; waiting for it."
        flock 9
    fi
    set_up_system_packages
    set_up_environment
    set_up_python_packages
    exec 9>&-
}
