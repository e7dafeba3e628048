//! Clocks and what this process has used (`clock_gettime(2)`, `getrusage(2)`).

use std::time::Duration;

/// Since an arbitrary moment before boot, never set back: nanoseconds of `CLOCK_MONOTONIC`, the clock that
/// facts are stamped with.
#[must_use]
pub fn monotonic() -> u64 {
    u64::try_from(read(libc::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX)
}

/// Since 1970, as this host believes: `CLOCK_REALTIME`.
#[must_use]
pub fn realtime() -> Duration {
    read(libc::CLOCK_REALTIME)
}

/// CPU time of all threads of this process: `CLOCK_PROCESS_CPUTIME_ID`.
#[must_use]
pub fn cpu_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The most memory this process has had resident, bytes.
#[must_use]
pub fn peak_rss() -> u64 {
    // SAFETY: rusage is plain numbers, valid as zeroes.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one rusage.
    let code = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    // ru_maxrss is in KiB.
    if code == 0 { u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024) } else { 0 }
}

/// These clocks exist since Linux 2.6 and reading them cannot fail; a failure would read as 0.
fn read(clock: libc::clockid_t) -> Duration {
    // SAFETY: a timespec is plain numbers, valid as zeroes.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one timespec.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_and_know_their_epoch() {
        let before = monotonic();
        assert!(before > 0);
        assert!(monotonic() >= before);
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(realtime().abs_diff(system) < Duration::from_secs(60));
        // Some work, so that the clock has something to show.
        let spent = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == spent {
            sum = (0..100_000_u64).fold(sum, |a, b| std::hint::black_box(a ^ b));
        }
        assert!(peak_rss() > 100_000, "a running test has more than 100 kB");
    }
}
