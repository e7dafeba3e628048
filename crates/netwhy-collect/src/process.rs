//! Processes that own a socket of the question, from `/proc/PID`, and the machine's file table.

use std::path::Path;

use netwhy_facts::Reading;
use netwhy_facts::process::{FileTable, Process, ProcessLimit, Processes};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

/// Threads looked at in one process.
const MAX_THREADS: usize = 64;

impl Collector {
    /// The named processes; one that ended meanwhile is left out.
    pub fn processes(&self, pids: &[u32]) -> Reading<Processes> {
        Self::reading("/proc/PID", "CAP_SYS_PTRACE", || {
            let mut out = Vec::new();
            for pid in pids {
                if let Some(process) = self.process(*pid)? {
                    out.push(process);
                }
            }
            Ok(Processes(out))
        })
    }

    /// The user a process runs as (the owner of its directory).
    pub fn user_of(&self, pid: u32) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        Some(std::fs::metadata(self.proc(&pid.to_string())).ok()?.uid())
    }

    /// The limits of a process.
    pub fn limits(&self, pid: u32) -> Result<Vec<ProcessLimit>, CollectError> {
        let text = read_text(&self.proc(&pid.to_string()).join("limits"))?;
        Ok(decode_limits(&text))
    }

    /// What a process is called (comm), raw; `None` if there is no such process.
    pub fn command(&self, pid: u32) -> Option<String> {
        let name = read_text(&self.proc(&pid.to_string()).join("comm")).ok()?;
        Some(name.strip_suffix('\n').unwrap_or(&name).to_owned())
    }

    fn process(&self, pid: u32) -> Result<Option<Process>, CollectError> {
        let dir = self.proc(&pid.to_string());
        let stat = match read_text(&dir.join("stat")) {
            Ok(text) => text,
            Err(error) if error.errno().is_some_and(|e| matches!(e.name(), "ENOENT" | "ESRCH")) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let stat = decode_stat(&stat)?;
        let limits = read_text(&dir.join("limits"));
        let limit = |column: usize| match &limits {
            Ok(text) => match decode_open_files(text) {
                Some(pair) => {
                    Reading::known([pair.0, pair.1][column], "/proc/PID/limits", crate::collector::now())
                }
                None => Reading::failed("/proc/PID/limits has no line for open files"),
            },
            Err(error) => error.clone().into_reading("CAP_SYS_PTRACE"),
        };
        let cgroup = Self::reading("/proc/PID/cgroup", "read access to /proc/PID", || {
            Ok(decode_cgroup(&read_text(&dir.join("cgroup"))?))
        });
        let container = cgroup.value().and_then(|path| container_of(path));
        Ok(Some(Process {
            pid,
            comm: stat.comm,
            state: stat.state,
            cpu_ticks: stat.cpu_ticks,
            wchan: Self::reading("/proc/PID/wchan", "CAP_SYS_PTRACE", || read_text(&dir.join("wchan"))),
            threads: threads(&dir),
            open_fds: Self::reading("/proc/PID/fd", "CAP_SYS_PTRACE", || {
                let fds =
                    std::fs::read_dir(dir.join("fd")).map_err(|e| CollectError::file(&dir.join("fd"), &e))?;
                Ok(fds.count() as u64)
            }),
            nofile_soft: limit(0),
            nofile_hard: limit(1),
            netns: Self::reading("/proc/PID/ns/net", "CAP_SYS_PTRACE", || {
                Ok(netwhy_sys::netns::of_process(pid)?.inode)
            }),
            cgroup,
            seccomp: read_text(&dir.join("status")).ok().and_then(|text| {
                text.lines().find_map(|l| l.strip_prefix("Seccomp:")).and_then(|v| v.trim().parse().ok())
            }),
            container,
        }))
    }

    /// Allocated files and their limit, of the whole machine.
    pub fn file_table(&self) -> Reading<FileTable> {
        Self::reading("/proc/sys/fs/file-nr", "read access to /proc/sys", || {
            let text = read_text(&self.proc("sys/fs/file-nr"))?;
            let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect();
            match numbers[..] {
                [allocated, _, max] => Ok(FileTable { allocated, max }),
                _ => Err(CollectError::malformed("/proc/sys/fs/file-nr", format!("{:?}", text.trim()))),
            }
        })
    }
}

struct Stat {
    comm: String,
    state: char,
    cpu_ticks: u64,
}

/// `pid (comm) state …`: the name may hold anything, closing brackets and newlines included.
fn decode_stat(text: &str) -> Result<Stat, CollectError> {
    let bad = |what: &str| CollectError::malformed("/proc/PID/stat", what);
    let open = text.find('(').ok_or_else(|| bad("no name"))?;
    let close = text.rfind(')').filter(|at| *at > open).ok_or_else(|| bad("the name does not end"))?;
    let rest: Vec<&str> = text[close + 1..].split_ascii_whitespace().collect();
    // Fields are numbered from 1 in proc(5); the state is the third, utime the 14th, stime the 15th.
    let ticks = |field: usize| rest.get(field - 3).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
    Ok(Stat {
        comm: text[open + 1..close].to_string(),
        state: rest.first().and_then(|w| w.chars().next()).ok_or_else(|| bad("no state"))?,
        cpu_ticks: ticks(14).saturating_add(ticks(15)),
    })
}

/// Every line of `/proc/PID/limits`: a name in 26 columns, two limits in 21 each, a unit.
fn decode_limits(text: &str) -> Vec<ProcessLimit> {
    let number = |word: &str| match word {
        "unlimited" => Some(None),
        word => word.parse().ok().map(Some),
    };
    let line = |line: &str| {
        let (name, rest) = (line.get(..26)?, line.get(26..)?);
        let mut words = rest.split_ascii_whitespace();
        Some(ProcessLimit {
            name: name.trim_end().to_owned(),
            soft: number(words.next()?)?,
            hard: number(words.next()?)?,
            unit: words.next().unwrap_or("").to_owned(),
        })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// Soft and hard limit of `Max open files`; unlimited is the largest number.
fn decode_open_files(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    let mut words = line.split_ascii_whitespace();
    let mut number = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        word => word.parse().ok(),
    };
    Some((number()?, number()?))
}

/// The unified (v2) path when there is one, else the first path that is not the root.
pub(crate) fn decode_cgroup(text: &str) -> String {
    let paths = || text.lines().filter_map(|l| l.splitn(3, ':').nth(2));
    let unified = text.lines().find_map(|l| l.strip_prefix("0::")).filter(|p| *p != "/");
    unified.or_else(|| paths().find(|p| *p != "/")).unwrap_or("/").to_string()
}

/// The container id in a cgroup path: the last run of 64 (or, for some runtimes, 32) hexadecimal digits.
pub(crate) fn container_of(path: &str) -> Option<String> {
    path.rsplit(|c: char| !c.is_ascii_hexdigit()).find(|run| matches!(run.len(), 64 | 32)).map(str::to_owned)
}

fn threads(dir: &Path) -> Vec<(char, String)> {
    let Ok(tasks) = std::fs::read_dir(dir.join("task")) else { return Vec::new() };
    tasks
        .flatten()
        .take(MAX_THREADS)
        .filter_map(|task| {
            let stat = decode_stat(&read_text(&task.path().join("stat")).ok()?).ok()?;
            Some((stat.state, read_text(&task.path().join("wchan")).unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = decode_stat("7 (a) R (b)\n) T 1 7 7 0 -1 0 0 0 0 0 5 6 0 0").unwrap();
        assert_eq!((stat.comm.as_str(), stat.state, stat.cpu_ticks), ("a) R (b)\n", 'T', 11));
        assert!(decode_stat("7 (a").is_err());
        assert!(decode_stat("").is_err());
    }

    #[test]
    fn limits_cgroups_and_containers_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 unlimited            files\n";
        assert_eq!(decode_open_files(text), Some((1024, u64::MAX)));
        let limits = decode_limits(text);
        assert_eq!((limits.len(), limits[0].soft, limits[0].hard), (1, Some(1024), None));
        assert_eq!((limits[0].name.as_str(), limits[0].unit.as_str()), ("Max open files", "files"));
        assert_eq!(Collector::here().unwrap().limits(std::process::id()).unwrap().len(), 16);
        assert_eq!(decode_cgroup("12:net_cls:/a\n0::/b\n"), "/b");
        assert_eq!(decode_cgroup("4:cpu:/\n3:pids:/x\n0::/\n"), "/x");
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(container_of(&format!("/system.slice/docker-{id}.scope")), Some(id));
        assert_eq!(container_of("/user.slice/feed"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_is_left_out() {
        let collector = Collector::here().unwrap();
        let me = std::process::id();
        let got = collector.processes(&[me, u32::MAX]);
        let got = got.value().unwrap();
        assert_eq!(got.0.len(), 1);
        let p = got.find(me).unwrap();
        assert!(p.open_fds.value().is_some_and(|n| *n > 2));
        assert!(p.nofile_soft.is_known() && p.netns.is_known());
        assert!(collector.file_table().value().is_some_and(|t| t.allocated > 0));
    }
}
