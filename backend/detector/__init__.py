"""From compressed detector chunks to photon events, masks, geometry and q rings."""
