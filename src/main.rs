//! The `gaugecast` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    allocator::settle();
    gaugecast::cli::run(std::env::args_os())
}

/// What the C library's allocator is told. Left alone, glibc raises its threshold for `mmap` each time a large block is freed, so that
/// buffers of frames and pages move into the heap and fragment it; and it has eight arenas a core, each of which keeps what it once
/// had. In the soak of a thousand clients memory so grew for 17 minutes, by 7 %.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    use std::thread::available_parallelism;

    /// From this size on, in bytes, a block has pages of its own that are given back when it is freed.
    const OWN_PAGES: libc::c_int = 64 * 1024;

    /// Fixes the threshold, and one arena a core. A choice made by `MALLOC_…` in the environment stands.
    pub(super) fn settle() {
        let cores =
            available_parallelism().map_or(1, |cores| libc::c_int::try_from(cores.get()).unwrap_or(64));
        for (variable, parameter, value) in [
            ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, OWN_PAGES),
            ("MALLOC_ARENA_MAX", libc::M_ARENA_MAX, cores.max(2)),
        ] {
            if std::env::var_os(variable).is_none() {
                // SAFETY: mallopt(3) takes two numbers by value and may be called at any time; no other thread runs yet.
                #[expect(unsafe_code, reason = "the C library offers it in no other way")]
                let _taken = unsafe { libc::mallopt(parameter, value) };
            }
        }
    }
}
