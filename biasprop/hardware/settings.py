"""Settings of JAX and environment variables, and what becomes of each: pinned, in the fingerprint, or irrelevant.

The one place where this is decided: :mod:`.device` pins and fingerprints what stands here, and the section *What is
pinned, and why* of ``execution/README.md`` shows it. Imports nothing heavy.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

CHECKED_JAX = (0, 12, 0, 1)
"""The newest version of JAX whose list of settings was compared with :data:`SETTINGS`."""

OTHER = "settings"
"""Key of a fingerprint under which all that deviates and has no key of its own is named."""


class Treatment(enum.Enum):
    """What becomes of a setting."""

    PINNED = "pinned"
    """Set to a value while numbers are computed, whatever the user has set."""
    FINGERPRINT = "fingerprint"
    """The user's value holds, and is part of the fingerprint."""
    IRRELEVANT = "irrelevant"
    """The user's value holds, and moves no bit."""


@dataclass(frozen=True)
class Setting:
    """Settings that are treated alike."""

    names: tuple[str, ...]
    """Of ``jax.config`` in lower case, whose environment variable has the same name in upper case; other environment
    variables in upper case. ``*`` stands for any ending. Some exist in only some versions of JAX."""
    treatment: Treatment
    value: Any
    """The pinned value; the key of the fingerprint; None if the setting is irrelevant."""
    reason: str

    def is_about(self, name: str) -> bool:
        """Whether a setting's name is among these."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


def _pinned(value: Any, reason: str, *names: str) -> Setting:
    return Setting(names, Treatment.PINNED, value, reason)


def _in_fingerprint(key: str, reason: str, *names: str) -> Setting:
    return Setting(names, Treatment.FINGERPRINT, key, reason)


def _irrelevant(reason: str, *names: str) -> Setting:
    return Setting(names, Treatment.IRRELEVANT, None, reason)


SETTINGS = (
    _pinned("threefry2x32", "another implementation draws other numbers", "jax_default_prng_impl"),
    _pinned(True, "whether the numbers of an array depend on its shape", "jax_threefry_partitionable"),
    _pinned(0, "is added to every seed", "jax_random_seed_offset"),
    _pinned(
        False,
        "other algorithms for random numbers and distributions",
        "jax_accurate_erf_inv",
        "jax_enable_custom_prng",
        "jax_high_dynamic_range_gumbel",
        "jax_threefry_gpu_kernel_lowering",
    ),
    _pinned(True, "another algorithm for gamma variates", "jax_use_rgv3"),
    _pinned(False, "computes with 64 instead of 32 bits", "jax_enable_x64"),
    _pinned("warn", "64-bit types where code names them", "jax_explicit_x64_dtypes"),
    _pinned("standard", "`strict` makes arms fail", "jax_numpy_dtype_promotion"),
    _pinned("allow", "other values make arms fail", "jax_numpy_rank_promotion", "jax_legacy_prng_key"),
    _pinned("allow", "other values make arms fail", "jax_transfer_guard*", "jax_array_garbage_collection_guard"),
    _pinned(None, "the fingerprint names the first device", "jax_default_device"),
    _pinned(
        False,
        "checks for debugging: they compile other programs, or raise where an arm would be stored as diverged",
        "jax_check_static_indices",
        "jax_check_tracer_leaks",
        "jax_debug_infs",
        "jax_debug_key_reuse",
        "jax_debug_nans",
        "jax_disable_jit",
        "jax_enable_checks",
        "jax_experimental_unsafe_xla_runtime_errors",
        "jax_no_execution",
        "jax_no_tracing",
        "jax_thread_guard",
    ),
    _pinned(
        "ignore",
        "checks for debugging, as above",
        "jax_error_checking_behavior_divide",
        "jax_error_checking_behavior_nan",
        "jax_error_checking_behavior_oob",
    ),
    _pinned(
        False,
        "other ways to differentiate, trace and fold constants",
        "eager_constant_folding",
        "jax_custom_jvp3",
        "jax_custom_vjp3",
        "jax_disable_bwd_checks",
        "jax_refs_to_pins",
        "jax_remat3",
        "jax_remat_barrier_no_cotangents",
        "jax_scan3",
        "jax_softmax_custom_jvp",
        "jax_use_simplified_jaxpr_constants",
    ),
    _pinned(True, "another way to differentiate, and to share a batch", "jax_use_direct_linearize", "jax_auto_pcast"),
    _pinned(32, "larger constants are arguments of a program", "jax_embedded_constants_max_bytes"),
    _pinned(
        False,
        "optimisations of the compiler, which change the order of sums",
        "jax_disable_most_optimizations",
        "jax_enable_pgle",
    ),
    _pinned(True, "as above", "jax_allow_f16_reductions", "jax_compiler_enable_remat_pass"),
    _pinned(True, "how a batch is shared by devices", "jax_use_shardy_partitioner"),
    _pinned("UNKNOWN", "as above: the level of the compiler's own choice", "jax_optimization_level"),
    _pinned("O2", "as above", "jax_memory_fitting_level"),
    _pinned(0.0, "as above", "jax_exec_time_optimization_effort", "jax_memory_fitting_effort"),
    _pinned(0, "as above", "jax_xla_profile_version"),
    _pinned(None, "another program for the logistic function", "jax_use_hlo_logistic_lowering"),
    _pinned("auto", "another library for linear algebra on a GPU", "jax_use_magma"),
    _pinned(
        1,
        "threads of the BLAS of NumPy and SciPy, which also solves linear equations for JAX on a CPU",
        "BLIS_NUM_THREADS",
        "GOTO_NUM_THREADS",
        "MKL_DYNAMIC",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_DEFAULT_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    _in_fingerprint("precision", "precision of matrix products, a choice of the user", "jax_default_matmul_precision"),
    _in_fingerprint(
        "device",
        "choose the device",
        "CUDA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "PJRT_NAMES_AND_LIBRARY_PATHS",
        "ROCR_VISIBLE_DEVICES",
        "jax_backend_target",
        "jax_cuda_visible_devices",
        "jax_oneapi_visible_devices",
        "jax_platform_name",
        "jax_platforms",
        "jax_rocm_visible_devices",
        "jax_xla_backend",
    ),
    _in_fingerprint("devices", "number of devices that share a batch", "jax_num_cpu_devices"),
    _in_fingerprint("threads", "threads over which XLA splits sums on a CPU", "NPROC", "PJRT_NPROC"),
    _in_fingerprint("flags", "options of the compiler", "XLA_FLAGS"),
    _in_fingerprint(OTHER, "options of a device's client", "LIBTPU_INIT_ARGS", "jax_pjrt_client_create_options"),
    _in_fingerprint(
        OTHER,
        "instructions and algorithms that the numerical libraries choose",
        "BLIS_ARCH_TYPE",
        "CUBLAS*",
        "CUDNN_*",
        "DNNL_*",
        "GLIBC_TUNABLES",
        "MKL_CBWR",
        "MKL_DEBUG_CPU_TYPE",
        "MKL_ENABLE_INSTRUCTIONS",
        "NPY_*",
        "NVIDIA_TF32_OVERRIDE",
        "ONEDNN_*",
        "OPENBLAS_BLOCK_FACTOR",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        "TF_CUDNN_*",
    ),
    _irrelevant(
        "only place, size and checks of the cache of compiled programs; a loaded program is the compiled one",
        "jax_compilation_cache_*",
        "jax_enable_compilation_cache",
        "jax_persistent_cache_*",
        "jax_pgle_*",
        "jax_raise_persistent_cache_errors",
        "jax_remove_custom_partitioning_ptr_from_cache_key",
    ),
    _irrelevant(
        "only messages, logs, dumps and tracebacks",
        "TF_CPP_*",
        "jax_captured_constants_*",
        "jax_check_proxy_envs",
        "jax_compiler_detailed_logging_min_ops",
        "jax_debug_leaked_clients_on_clear_backends",
        "jax_debug_log_modules",
        "jax_dump_ir_*",
        "jax_explain_cache_misses",
        "jax_hlo_source_file_canonicalization_regex",
        "jax_include_*",
        "jax_log_*",
        "jax_logging_level",
        "jax_mosaic_unzip_debug_locations",
        "jax_pprint_use_color",
        "jax_send_traceback_to_runtime",
        "jax_source_url_schema",
        "jax_traceback_*",
        "jax_tracer_error_num_traceback_frames",
    ),
    _irrelevant(
        "of parts of JAX that are not used: several hosts, export, Pallas, sparse and ragged arrays, references, "
        "meshes, and JAX's own tests",
        "JAX_COORDINATOR_*",
        "JAX_CUSTOM_VERSION_SUFFIX",
        "JAX_FORCE_TPU_INIT",
        "JAX_LOCAL_DEVICE_IDS",
        "JAX_NUM_PROCESSES",
        "JAX_PARTITION_INDEX",
        "JAX_PORT",
        "JAX_PROCESS_ID",
        "JAX_SLICE_INDEX",
        "check_vma",
        "jax2tf_*",
        "jax_bcoo_cusparse_lowering",
        "jax_cpu_collectives_implementation",
        "jax_cpu_get_*_topology_timeout_minutes",
        "jax_cross_host_*",
        "jax_disable_vmap_shmap_error",
        "jax_disallow_mesh_context_manager",
        "jax_distributed_*",
        "jax_enable_preemption_service",
        "jax_enable_recoverability",
        "jax_export_*",
        "jax_force_dcn_cross_host_transfers",
        "jax_mock_gpu_topology",
        "jax_mosaic_allow_hlo",
        "jax_mtls_*",
        "jax_mutable_array_checks",
        "jax_num_generated_cases",
        "jax_pallas_*",
        "jax_ragged_dot_*",
        "jax_raise_on_ppermute_sort_diff",
        "jax_remove_size_one_mesh_axis_from_type",
        "jax_serialization_version",
        "jax_share_binary_between_hosts*",
        "jax_skip_slow_tests",
        "jax_test_*",
        "jax_use_emit_pipeline_primitive",
        "mock_num_gpu_processes",
    ),
    _irrelevant(
        "when and how programs are started, not what they compute",
        "XLA_CLIENT_MEM_FRACTION",
        "XLA_PYTHON_CLIENT_*",
        "jax_cpu_enable_async_dispatch",
        "jax_sort_devices_by_process_index",
        "jax_use_cpp_shard_args",
    ),
    _irrelevant("no number depends on the order of a set or on a hash of Python", "PYTHONHASHSEED"),
)
"""Every setting, in groups. Pinned is what JAX has by default, so that defaults and pins give the same bits."""


@functools.cache
def find(name: str) -> Setting | None:
    """The entry of a setting of ``jax.config`` (lower case) or an environment variable; None if it has none."""
    names = (name, name.lower()) if name.isupper() else (name,)
    return next((setting for setting in SETTINGS if any(map(setting.is_about, names))), None)


def pins(values: Mapping[str, Any]) -> dict[str, Any]:
    """The pinned value of each of JAX's settings that has one.

    Args:
        values: ``jax.config.values``, the settings of the installed version.
    """
    found = {name: find(name) for name in values}
    return {name: entry.value for name, entry in found.items() if entry and entry.treatment is Treatment.PINNED}


def deviations(values: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """What a fingerprint has under :data:`OTHER`: ``name=value`` of everything that is set and listed for it.

    A variable ``JAX_...`` that is not in :data:`SETTINGS` belongs to a newer JAX and counts as well: it may move bits.

    Args:
        values: ``jax.config.values``.
        environ: ``os.environ``.
    """

    def counts(name: str) -> bool:
        entry = find(name)
        return entry is None or (entry.treatment is Treatment.FINGERPRINT and entry.value == OTHER)

    # A setting that has no entry is known by its variable alone: what JAX has by default is not known.
    found = {name: value for name, value in values.items() if value is not None and find(name) and counts(name)}
    for name, value in environ.items():
        if value and (find(name) or name.startswith("JAX_")) and name.lower() not in found and counts(name):
            found[name] = value
    return " ".join(f"{name}={value}" for name, value in sorted(found.items()))
