//! The `gaugecast` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    allocator::settle();
    gaugecast::cli::run(std::env::args_os())
}

/// What the C library's allocator is told. Left alone, glibc raises its threshold for `mmap` each time a large block is freed, so that
/// buffers of frames and pages move into the heap and fragment it; and it has eight arenas a core, each of which keeps what it once
/// had. In the soak of a thousand clients memory so grew for 17 minutes, by 7 %. What is free in between stays with the process too, long
/// after the clients that needed it have gone, unless it is told to give that back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    use std::thread::{self, available_parallelism};
    use std::time::Duration;

    /// From this size on, in bytes, a block has pages of its own that are given back when it is freed.
    const OWN_PAGES: libc::c_int = 64 * 1024;

    /// How often what is free is given back.
    const GIVE_BACK: Duration = Duration::from_secs(60);

    /// Fixes the threshold, and one arena a core, and gives back what is free from time to time, as long as the process lives. A choice
    /// made by `MALLOC_…` in the environment stands.
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
        // Without this thread all works as well.
        let _thread = thread::Builder::new().name("allocator".into()).spawn(|| {
            loop {
                thread::sleep(GIVE_BACK);
                // SAFETY: malloc_trim(3) takes a number and may be called at any time from any thread.
                #[expect(unsafe_code, reason = "the C library offers it in no other way")]
                let _given = unsafe { libc::malloc_trim(0) };
            }
        });
    }
}
