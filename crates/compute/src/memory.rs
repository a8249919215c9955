//! How the process's allocator treats large pieces of memory.

/// Asks the system's allocator to keep what is freed, for programs that ask for the same large pieces
/// again and again, as a training step does. Otherwise each piece is given back, and its pages are cleared
/// and mapped anew at the next step, a good part of a small model's time (`docs/decisions/0009-training.md`). Does nothing where the allocator is
/// not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    {
        // SAFETY: `mallopt` may be called at any time; it changes thresholds only. A refusal is no harm.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}
