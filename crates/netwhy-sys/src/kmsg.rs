//! The kernel's log, record by record (`/dev/kmsg`, Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::errno::Errno;
use crate::error::{Result, SysError};

const PATH: &str = "/dev/kmsg";
/// No record is longer.
const RECORD: usize = 8192;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 0 is an emergency, 7 is debugging.
    pub level: u8,
    /// 0 is the kernel; others wrote into the log from outside.
    pub facility: u8,
    /// Counts records since boot; a gap means that some were overwritten.
    pub sequence: u64,
    /// When, on the monotonic clock.
    pub at: Duration,
    /// What. May hold any byte the kernel was given, such as device names.
    pub text: String,
    /// `SUBSYSTEM`, `DEVICE` and the like.
    pub fields: Vec<(String, String)>,
}

/// The log, read from one place on.
#[derive(Debug)]
pub struct Kmsg {
    file: File,
    lost: u64,
}

impl Kmsg {
    /// From the oldest record on. `EPERM` where `kernel.dmesg_restrict` keeps it from us.
    pub fn open() -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(PATH)
            .map_err(|error| SysError::io("open", PATH, &error))?;
        Ok(Kmsg { file, lost: 0 })
    }

    /// From the first record after the log was last cleared (`dmesg -C`, `SYSLOG_ACTION_CLEAR`), as dmesg(1) shows it.
    pub fn open_after_clear() -> Result<Self> {
        let log = Kmsg::open()?;
        // SAFETY: lseek(2) takes the open descriptor and two numbers; it touches no memory of ours.
        if unsafe { libc::lseek(log.file.as_raw_fd(), 0, libc::SEEK_DATA) } < 0 {
            return Err(SysError::io("seek", PATH, &std::io::Error::last_os_error()));
        }
        Ok(log)
    }

    /// From now on.
    pub fn open_at_end() -> Result<Self> {
        let mut log = Kmsg::open()?;
        log.file.seek(SeekFrom::End(0)).map_err(|error| SysError::io("seek", PATH, &error))?;
        Ok(log)
    }

    /// The next record; `None` if there is none yet. To wait for one, watch the descriptor.
    pub fn read(&mut self) -> Result<Option<Record>> {
        let mut bytes = [0; RECORD];
        loop {
            match self.file.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(length) => {
                    if let Some(record) = parse(bytes.get(..length).unwrap_or(&[])) {
                        return Ok(Some(record));
                    }
                }
                Err(error) => match Errno::from(&error) {
                    Errno::EAGAIN => return Ok(None),
                    Errno::EINTR => {}
                    // Overwritten before it was read; the next reading starts at the oldest there is.
                    Errno::EPIPE => self.lost += 1,
                    _ => return Err(SysError::io("read", PATH, &error)),
                },
            }
        }
    }

    /// How often records were overwritten before they were read.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

impl AsFd for Kmsg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The newest records since `since` on the monotonic clock, at most `most`, oldest first.
pub fn since(since: Duration, most: usize) -> Result<Vec<Record>> {
    let mut log = Kmsg::open()?;
    let mut found = std::collections::VecDeque::new();
    while let Some(record) = log.read()? {
        if record.at >= since {
            found.push_back(record);
            if found.len() > most {
                found.pop_front();
            }
        }
    }
    Ok(found.into())
}

/// `priority,sequence,microseconds,flags[,more];text`, then lines of ` KEY=value`.
fn parse(bytes: &[u8]) -> Option<Record> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once(';')?;
    let mut head = head.split(',');
    let priority: u32 = head.next()?.parse().ok()?;
    let sequence = head.next()?.parse().ok()?;
    let micros = head.next()?.parse().ok()?;
    let mut lines = body.split('\n');
    let said = unescape(lines.next()?);
    let fields = lines.filter_map(|line| line.strip_prefix(' ')?.split_once('='));
    Some(Record {
        level: (priority & 7) as u8,
        facility: u8::try_from(priority >> 3).unwrap_or(u8::MAX),
        sequence,
        at: Duration::from_micros(micros),
        text: said,
        fields: fields.map(|(key, value)| (key.to_owned(), unescape(value))).collect(),
    })
}

/// The kernel writes what is not printable as `\x1b`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match value {
            Some(value) if first == b'\\' => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let record = parse(b"6,339,5140900,-,caller=T1;NET: Registered \\x1b[1m \\\\ \\xc3\\xa9\n SUBSYSTEM=net\n DEVICE=+net:lo\n").unwrap();
        assert_eq!((record.level, record.facility, record.sequence), (6, 0, 339));
        assert_eq!(record.at, Duration::from_micros(5_140_900));
        assert_eq!(record.text, "NET: Registered \u{1b}[1m \\\\ é");
        assert_eq!(record.fields, [("SUBSYSTEM".into(), "net".into()), ("DEVICE".into(), "+net:lo".into())]);
        for bad in [&b""[..], b"1,2,3", b"x,1,2;y", b"1,,2;y", b";"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn the_log_is_read_from_a_time_on() {
        let all = match since(Duration::ZERO, usize::MAX) {
            Ok(all) => all,
            Err(error) => {
                let held = crate::caps::effective().unwrap();
                assert!(error.errno == Errno::ENOENT || !held.may_syslog(), "{error}");
                println!("skipped: {error}");
                return;
            }
        };
        let sequences: Vec<u64> = all.iter().map(|record| record.sequence).collect();
        assert!(sequences.is_sorted());
        if let [.., first, last] = all.as_slice() {
            assert_eq!(
                since(last.at, usize::MAX).unwrap().last().map(|record| record.sequence >= last.sequence),
                Some(true)
            );
            let newest = since(Duration::ZERO, 1).unwrap();
            assert!(newest.len() == 1 && newest[0].sequence >= first.sequence);
        }
        assert_eq!(Kmsg::open_at_end().unwrap().lost(), 0);
    }
}
