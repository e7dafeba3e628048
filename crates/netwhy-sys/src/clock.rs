//! What time it is, and what this program has cost (clock_gettime(2), getrusage(2), proc(5)).

use std::time::Duration;

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// Nanoseconds since some moment before boot, not counting suspension and never set back: what facts are
/// stamped with. The kernel's log counts like this too.
#[must_use]
pub fn monotonic() -> u64 {
    u64::try_from(read(libc::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX)
}

/// Since boot, counting suspension.
#[must_use]
pub fn since_boot() -> Duration {
    read(libc::CLOCK_BOOTTIME)
}

/// Since 1970; jumps when the clock is set.
#[must_use]
pub fn realtime() -> Duration {
    read(libc::CLOCK_REALTIME)
}

/// Processor time of this process, all threads, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the calling thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = crate::poll::timespec(Duration::ZERO);
    // SAFETY: writes one timespec. These clocks always exist, and a failure would leave 0.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0).min(999_999_999))
}

/// What a process and its ended children have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// Most memory resident, bytes. The kernel carries it over from the program before an exec: see
    /// [`peak_rss`].
    pub max_resident: u64,
}

/// Of this process.
pub fn usage() -> Result<Usage> {
    usage_of(libc::RUSAGE_SELF)
}

/// Of its children that have ended and been waited for.
pub fn usage_of_children() -> Result<Usage> {
    usage_of(libc::RUSAGE_CHILDREN)
}

fn usage_of(who: libc::c_int) -> Result<Usage> {
    // SAFETY: rusage is plain numbers, valid as zeroes; the call writes one.
    let (code, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(who as _, &raw mut usage), usage)
    };
    crate::error::check(code, "getrusage")?;
    let time = |value: libc::timeval| {
        let micros = u64::try_from(value.tv_usec).unwrap_or(0);
        Duration::from_secs(u64::try_from(value.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
    };
    Ok(Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_resident: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    })
}

/// Most memory this program has had resident, bytes (`VmHWM`); without `/proc` what getrusage(2) says, which
/// includes the program before an exec.
#[must_use]
pub fn peak_rss() -> u64 {
    status_line("VmHWM:").or_else(|_| usage().map(|usage| usage.max_resident)).unwrap_or(0)
}

/// Memory resident now, bytes (`VmRSS`).
pub fn resident() -> Result<u64> {
    status_line("VmRSS:")
}

fn status_line(key: &str) -> Result<u64> {
    let path = "/proc/self/status";
    let text = std::fs::read_to_string(path).map_err(|error| SysError::io("read", path, &error))?;
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .map(|kib| kib.saturating_mul(1024))
        .ok_or_else(|| SysError::new("parse", path, Errno::EINVAL))
}

/// A moment (seconds since the epoch) in the local time zone, by a strftime(3) pattern; empty for an empty one.
pub fn local_time(seconds: i64, format: &str) -> Result<String> {
    let invalid = |what: &str| SysError::new("strftime", what, Errno::EINVAL);
    // A mark at the end tells an empty result from one that did not fit.
    let pattern = std::ffi::CString::new(format!("{format}|")).map_err(|_| invalid("NUL in the pattern"))?;
    let when = libc::time_t::try_from(seconds).map_err(|_| invalid("time"))?;
    // SAFETY: a tm is plain numbers and a pointer that may be null, valid as zeroes.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both arguments live until after the call.
    if unsafe { libc::localtime_r(&raw const when, &raw mut parts) }.is_null() {
        return Err(invalid("time"));
    }
    let mut text = vec![0_u8; 256 + format.len() * 16];
    // SAFETY: the buffer has the length stated, the pattern ends with NUL and `parts` was filled above.
    let length =
        unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), pattern.as_ptr(), &raw const parts) };
    if length == 0 {
        return Err(invalid("pattern"));
    }
    text.truncate(length - 1);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward_and_agree_with_the_library() {
        let before = monotonic();
        assert!(before > 0 && monotonic() >= before);
        assert!(since_boot().as_nanos() >= u128::from(before));
        let library = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert!(realtime().abs_diff(library) < Duration::from_secs(60));
    }

    #[test]
    fn work_costs_time_and_memory() {
        let (process, thread) = (cpu_time(), thread_cpu());
        let mut sum = 0_u64;
        while thread_cpu() < thread + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() >= process + Duration::from_millis(5));
        let used = usage().unwrap();
        assert!(used.user + used.system > Duration::ZERO && used.max_resident > 0);
        let block = std::hint::black_box(vec![1_u8; 8 << 20]);
        assert!(resident().unwrap() >= 8 << 20);
        assert!(peak_rss() >= 8 << 20);
        drop(block);
    }
}
