"""All settings: type, unit, range, default and one-sentence effect per field. TOML in and out.

The settings form, the help and the check of a settings file follow from the field metadata: a title, a description,
limits and, in ``json_schema_extra``, the unit.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Literal

import tomlkit
from pydantic import ValidationError

from backend.cluster_settings import ClusterSettings
from backend.dose_settings import DoseSettings
from backend.errors import SettingsError
from backend.settings_section import SettingsSection, setting, words_of


class WatchSettings(SettingsSection):
    """How the acquisition is watched."""

    newest_poll_s: float = setting(
        0.5, "How often the newest series folder is looked at.", unit="s", ge=0.05, le=10
    )
    full_sweep_s: float = setting(
        60.0,
        "How often every series folder is looked at, to find late or returned files.",
        unit="s",
        ge=1,
        le=3600,
    )
    settle_s: float = setting(
        15.0,
        "A series whose end no file states counts as ended when nothing arrives for this long (or for twenty "
        "frame times, or three data files, if that is longer).",
        unit="s",
        ge=1,
        le=3600,
    )
    retry_for_s: float = setting(
        5.0,
        "A file that cannot be read yet is tried again for this long before it is reported.",
        unit="s",
        ge=0,
        le=600,
    )
    frames_per_batch: int = setting(
        64,
        "Frames read from a file at once; fewer is fresher, more is faster.",
        unit="frames",
        ge=1,
        le=1024,
    )
    history: Literal["newest", "all"] = setting(
        "newest",
        "Series from before the start: only the newest and those (20 at most) that came while no backend ran, or all.",
    )


class GeometrySettings(SettingsSection):
    """Used where the detector files do not state it; a stated value in the files wins, unless ``override`` is set."""

    distance_m: float | None = setting(None, "Sample to detector.", unit="m", gt=0, le=100)
    wavelength_m: float | None = setting(None, "X-ray wavelength.", unit="m", gt=1e-12, le=1e-7)
    pixel_size_m: float | None = setting(None, "Edge of a detector pixel.", unit="m", gt=1e-7, le=1e-2)
    beam_center_x_px: float | None = setting(
        None, "Column of the direct beam, from 0.", unit="px", ge=-1e5, le=1e5
    )
    override: bool = setting(False, "Let the values of this section win over those in the files.")
    beam_center_y_px: float | None = setting(
        None, "Row of the direct beam, from 0.", unit="px", ge=-1e5, le=1e5
    )


class RingSettings(SettingsSection):
    """How the detector is cut into q rings."""

    count: int = setting(30, "Number of q rings for g2 and the damage verdict.", unit="rings", ge=2, le=64)
    q_min_inv_nm: float | None = setting(
        None, "Smallest q; left empty it follows from the beam stop and the mask.", unit="1/nm", gt=0, le=100
    )
    q_max_inv_nm: float | None = setting(
        None, "Largest q; left empty it follows from the edge of the detector.", unit="1/nm", gt=0, le=100
    )
    fine_per_ring: int = setting(
        6, "Narrow sub-rings per ring, for the I(q) curve.", unit="rings", ge=1, le=32
    )
    sectors: int = setting(
        12, "Sectors per ring; error bars come from the scatter between them.", unit="sectors", ge=4, le=36
    )


class MaskSettings(SettingsSection):
    """Pixels that are left out besides those the detector itself calls bad."""

    file: Path | None = setting(
        None,
        "Extra mask as .npy of the detector's shape, 1 or true = good pixel; or a result file with its mask.",
    )
    hot_pixel_tail: float = setting(
        1e-9,
        "A pixel is hot when a count this improbable for its ring occurs in more than three frames.",
        ge=1e-30,
        le=1e-3,
    )
    gap_margin_px: int = setting(1, "Pixels left out on each side of module gaps.", unit="px", ge=0, le=20)


class CorrelationSettings(SettingsSection):
    """Multi-tau g2 and its fit."""

    lags_per_level: int = setting(
        8,
        "Lags of the first multi-tau level; each further level adds half as many.",
        unit="lags",
        ge=4,
        le=32,
    )
    fit_exponent: bool = setting(True, "Fit the stretching exponent; off means a simple exponential.")
    shared_contrast: bool = setting(
        False,
        "Fit one contrast for all rings; helps slow rings, but is wrong where the contrast changes with q.",
    )
    shared_baseline: bool = setting(False, "Fit one baseline for all rings.")
    frame_times: Path | None = setting(
        None,
        "When each frame of a series begins, for bursts and the like: .npy, or text with one number per line. Used "
        "where the master has no times.",
        unit="s",
    )


class TwoTimeSettings(SettingsSection):
    """Two-time maps."""

    max_bins: int = setting(
        256, "Largest edge of a map; longer series are binned in time.", unit="bins", ge=32, le=512
    )
    pixels_per_ring: int = setting(
        20000,
        "Pixels used per ring, spread evenly; more is less noisy and slower.",
        unit="px",
        ge=1000,
        le=1000000,
    )


class DamageSettings(SettingsSection):
    """The beam-damage verdict."""

    false_alarms_per_100_h: float = setting(
        1.0, "Wanted rate of false alarms per 100 hours of exposure.", unit="1/100 h", gt=0, le=1000
    )
    structure_tolerance_percent: float = setting(
        5.0, "Change of the low-q to high-q ratio that counts as damage.", unit="%", gt=0, le=1000
    )
    dynamics_tolerance_percent: float = setting(
        20.0, "Change of the relaxation rate that counts as damage.", unit="%", gt=0, le=10000
    )
    contrast_tolerance_percent: float = setting(
        10.0, "Change of the speckle contrast that counts as damage.", unit="%", gt=0, le=1000
    )
    watch_evidence: float = setting(
        20.0, "WATCH is said from this evidence for a change on.", unit="to 1", ge=2, le=1e6
    )
    clear_share_percent: float = setting(
        80.0,
        "What was said is taken back only below this share of its limit, so that no word flickers.",
        unit="%",
        ge=10,
        le=100,
    )
    quiet_windows: int = setting(
        5, "WATCH is taken back after so many windows in a row below that.", unit="windows", ge=1, le=100
    )
    window_frames: int = setting(
        5,
        "Fewest frames per decision window; windows of fast series are at least 0.1 s long.",
        unit="frames",
        ge=1,
        le=1000,
    )
    reference_fraction: float = setting(
        0.2, "Share of the planned series that sets the noise model before anything is said.", ge=0.02, le=0.5
    )
    min_reference_windows: int = setting(
        10, "Fewest windows for the noise model.", unit="windows", ge=8, le=200
    )
    max_reference_windows: int = setting(
        40, "Most windows for the noise model, however long the series.", unit="windows", ge=8, le=400
    )
    systematic_rms_percent: float = setting(
        0.3,
        "Slow drift of the shape of I(q) that is not the sample: beam position, background.",
        unit="%",
        ge=0,
        le=20,
    )
    systematic_time_s: float = setting(4.0, "Correlation time of that drift.", unit="s", gt=0, le=10000)
    ageing_exponent: float = setting(
        0.0,
        "Power of the age with which the relaxation time of the undamaged sample grows; 0 for a steady sample.",
        ge=0,
        le=3,
    )
    ageing_start_s: float = setting(
        1.0, "Age of such a sample when its series starts.", unit="s", gt=0, le=1e7
    )
    min_beam_fraction: float = setting(
        0.1,
        "Windows with less than this share of the usual counts are set aside as beam loss.",
        ge=0.0,
        le=0.9,
    )


class DispatchSettings(SettingsSection):
    """Jobs."""

    recipes_at_series_end: tuple[str, ...] = setting(
        ("xpcs",), "Recipes that run for every series when it ends."
    )
    parallel_jobs: int = setting(1, "Local jobs that may run at once.", unit="jobs", ge=1, le=64)
    processors: int | None = setting(
        None, "Processors that all local jobs together may use; left empty every one.", ge=1, le=4096
    )
    time_limit_s: float = setting(3600.0, "A job is stopped after this long.", unit="s", ge=1, le=86400)
    local_after_s: float = setting(
        60.0,
        'Jobs of recipes with without_cluster = "local" run on this computer when the cluster takes none for so long.',
        unit="s",
        ge=0,
        le=86400,
    )
    nice: int = setting(10, "How far a local job steps back for the live display.", ge=0, le=19)


class PublishSettings(SettingsSection):
    """What the backend sends out."""

    snapshots_per_s: float = setting(
        5.0, "Snapshots sent per second while data come.", unit="1/s", ge=0.5, le=25
    )
    image_max_pixels: int = setting(
        1_200_000,
        "Largest preview image; bigger detectors are summed 2x2, 3x3 ...",
        unit="px",
        ge=10_000,
        le=5_000_000,
    )


class Settings(SettingsSection):
    """Everything staff can tune."""

    watch: WatchSettings = WatchSettings()
    geometry: GeometrySettings = GeometrySettings()
    rings: RingSettings = RingSettings()
    mask: MaskSettings = MaskSettings()
    correlation: CorrelationSettings = CorrelationSettings()
    two_time: TwoTimeSettings = TwoTimeSettings()
    damage: DamageSettings = DamageSettings()
    dose: DoseSettings = DoseSettings()
    dispatch: DispatchSettings = DispatchSettings()
    cluster: ClusterSettings = ClusterSettings()
    publish: PublishSettings = PublishSettings()

    @property
    def sha256(self) -> str:
        """Hash of all values, hexadecimal; stored with every verdict and result."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_settings(path: Path | None) -> Settings:
    """Settings from a TOML file, defaults for what it leaves out; all defaults for ``None``.

    Raises
    ------
    SettingsError
        The file cannot be read, is not TOML, or a value is unknown or out of range; names field and limit.
    """
    if path is None:
        return Settings()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror or error}.",
            still_works="Without --settings the program starts with its defaults.",
            try_this="Check the path and that you may read it.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The settings file {path} is not valid TOML: {error}.",
            still_works="Without --settings the program starts with its defaults.",
            try_this="Mend the line it names.",
        ) from error
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {words_of(fault['msg'])}"
            for fault in error.errors()
        )
        raise SettingsError(
            f"The settings file {path} has values that cannot be used: {faults}.",
            still_works="Nothing was changed.",
            try_this="Correct or delete these lines; a missing line means its default.",
        ) from error


def settings_to_toml(settings: Settings) -> str:
    """All values as TOML text with each field's effect and unit as a comment above it."""
    document = tomlkit.document()
    for section_name in Settings.model_fields:
        section = getattr(settings, section_name)
        table = tomlkit.table()
        for name, info in type(section).model_fields.items():
            extra = info.json_schema_extra
            unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
            table.add(tomlkit.comment(f"{info.description}" + (f" [{unit}]" if unit else "")))
            value = getattr(section, name)
            if value is None:
                table.add(tomlkit.comment(f"{name} ="))
            elif isinstance(value, Path):
                table.add(name, str(value))
            elif isinstance(value, tuple):
                table.add(name, list(value))
            else:
                table.add(name, value)
        document.add(section_name, table)
    return tomlkit.dumps(document)
