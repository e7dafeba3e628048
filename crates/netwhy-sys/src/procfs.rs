//! Reading `/proc` and `/sys`, or a copy of them, with bounds.
//!
//! What a file means is for others to say. A tree can be any directory, so that readers are tested on trees
//! that were recorded elsewhere.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use crate::errno::Errno;
use crate::error::{Result, SysError};

/// How much of one file is read at most: a neighbour or connection table of a large host fits.
pub const LIMIT: usize = 64 << 20;
/// How many names of one directory are taken at most.
const NAMES: usize = 1 << 20;

/// A directory and what is below it; nothing else can be reached through it by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    root: PathBuf,
    live: bool,
}

impl Tree {
    /// The running kernel's `/proc`.
    #[must_use]
    pub fn proc() -> Self {
        Tree { root: PathBuf::from("/proc"), live: true }
    }

    /// The running kernel's `/sys`. It shows the network namespace it was mounted in, whichever the reader
    /// is in: enter the mount namespace too, or do without.
    #[must_use]
    pub fn sys() -> Self {
        Tree { root: PathBuf::from("/sys"), live: true }
    }

    /// A copy.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Tree { root: root.into(), live: false }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A whole file as text; what is not UTF-8 (a process may call itself anything) is replaced. `EFBIG`
    /// beyond [`LIMIT`].
    pub fn read(&self, name: impl AsRef<Path>) -> Result<String> {
        let bytes = self.read_bytes(name, LIMIT)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A whole file; `EFBIG` if it is longer than `limit`.
    pub fn read_bytes(&self, name: impl AsRef<Path>, limit: usize) -> Result<Vec<u8>> {
        let path = self.path(name.as_ref())?;
        let failed = |error: std::io::Error| SysError::io("read", path.display().to_string(), &error);
        let file = File::open(&path).map_err(failed)?;
        // Most of these files have no length; those of /sys/kernel/btf are megabytes and say so.
        let length = file.metadata().map_or(0, |found| usize::try_from(found.len()).unwrap_or(0));
        let mut bytes = Vec::with_capacity(if length <= limit { length.saturating_add(1) } else { 0 });
        // One more than allowed, to know that there was more.
        file.take(limit.saturating_add(1) as u64).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > limit {
            return Err(SysError::new("read", path.display().to_string(), Errno::EFBIG));
        }
        Ok(bytes)
    }

    /// A file that holds one value, without the white space around it: most of `/proc/sys` and `/sys`.
    pub fn value(&self, name: impl AsRef<Path>) -> Result<String> {
        let bytes = self.read_bytes(name, 1 << 16)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file of `/proc/net` for the namespace of the calling *thread*, which is not the one that
    /// `/proc/net` shows once the thread has entered another.
    pub fn net(&self, file: &str) -> Result<String> {
        self.read(self.net_path(file))
    }

    /// Where [`Self::net`] reads.
    #[must_use]
    pub fn net_path(&self, file: &str) -> PathBuf {
        let directory = if self.live { "thread-self/net" } else { "net" };
        Path::new(directory).join(file)
    }

    /// Where a symbolic link points to. The links under `/proc/PID/fd` and `ns` name what is no path, such
    /// as `socket:[4711]`.
    pub fn link(&self, name: impl AsRef<Path>) -> Result<String> {
        let path = self.path(name.as_ref())?;
        let target = fs::read_link(&path)
            .map_err(|error| SysError::io("readlink", path.display().to_string(), &error))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// The names in a directory, sorted.
    pub fn list(&self, name: impl AsRef<Path>) -> Result<Vec<String>> {
        let path = self.path(name.as_ref())?;
        let failed = |error: std::io::Error| SysError::io("list", path.display().to_string(), &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
            if names.len() > NAMES {
                return Err(SysError::new("list", path.display().to_string(), Errno::EFBIG));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The numbers among the names in a directory, ascending: processes, threads, descriptors.
    pub fn numbers(&self, name: impl AsRef<Path>) -> Result<Vec<u32>> {
        let mut numbers: Vec<u32> = self.list(name)?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The processes.
    pub fn processes(&self) -> Result<Vec<u32>> {
        self.numbers("")
    }

    /// It is there, and may be seen.
    #[must_use]
    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.path(name.as_ref()).is_ok_and(|path| path.exists())
    }

    /// Only downwards: a name from outside, such as a device's, must not lead elsewhere.
    fn path(&self, name: &Path) -> Result<PathBuf> {
        if name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Ok(self.root.join(name));
        }
        Err(SysError::new("read", name.display().to_string(), Errno::EINVAL))
    }
}

/// Hands each symbolic link of a directory to `each`: its name and where it points, cut at 64 bytes. For
/// `/proc/PID/fd` of a process with many descriptors: nothing is kept, and no path is walked for each.
pub fn links(directory: &Path, mut each: impl FnMut(&str, &[u8]) -> ControlFlow<()>) -> Result<()> {
    let failed = |error: std::io::Error| SysError::io("list", directory.display().to_string(), &error);
    let opened = File::open(directory).map_err(failed)?;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(text) = name.to_str() else { continue };
        if target_of(&opened, text, &mut |target| each(text, target)).is_some_and(|flow| flow.is_break()) {
            break;
        }
    }
    Ok(())
}

/// As [`links`], of those with these numbers for names, without listing the directory: in `/proc/PID/fd` the
/// kernel makes up every entry it lists, which for thousands takes longer than asking for a few.
pub fn numbered_links(
    directory: &Path,
    numbers: impl IntoIterator<Item = u32>,
    mut each: impl FnMut(u32, &[u8]) -> ControlFlow<()>,
) -> Result<()> {
    let failed = |error: std::io::Error| SysError::io("open", directory.display().to_string(), &error);
    let opened = File::open(directory).map_err(failed)?;
    for number in numbers {
        let flow = target_of(&opened, &number.to_string(), &mut |target| each(number, target));
        if flow.is_some_and(|flow| flow.is_break()) {
            break;
        }
    }
    Ok(())
}

/// Where a link of a directory points; `None` if there is no such link.
fn target_of<T>(directory: &File, name: &str, look: &mut dyn FnMut(&[u8]) -> T) -> Option<T> {
    let name = CString::new(name).ok()?;
    let mut target = [0_u8; 64];
    // SAFETY: the name ends in NUL, and the kernel writes at most the buffer's length.
    let length = unsafe {
        libc::readlinkat(directory.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len())
    };
    usize::try_from(length).ok().and_then(|length| target.get(..length)).map(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NewNet, new_netns};

    #[test]
    fn a_running_kernels_tree() {
        let proc = Tree::proc();
        assert!(proc.processes().unwrap().contains(&std::process::id()));
        assert!(proc.read("self/status").unwrap().starts_with("Name:"));
        assert!(proc.link("self/ns/net").unwrap().starts_with("net:["));
        assert_eq!(proc.value("sys/kernel/ostype").unwrap(), "Linux");
        assert!(proc.exists("self") && !proc.exists("no-such-entry"));
        let missing = proc.read("1/no-such-file").unwrap_err();
        assert_eq!(missing.to_string(), "read /proc/1/no-such-file: ENOENT (No such file or directory)");
    }

    #[test]
    fn net_follows_the_thread() {
        let outside = Tree::proc().net("dev").unwrap().lines().count();
        let NewNet::Here(inside) = new_netns(|| Tree::proc().net("dev").unwrap()) else { return };
        // Two lines of heading and the loopback device.
        assert_eq!(inside.lines().count(), 3, "{inside}");
        assert_eq!(Tree::proc().net("dev").unwrap().lines().count(), outside);
    }

    #[test]
    fn a_copy_is_read_like_the_original_and_left_by_no_name() {
        let directory = std::env::temp_dir().join(format!("netwhy-sys-{}", std::process::id()));
        fs::create_dir_all(directory.join("net")).unwrap();
        fs::write(directory.join("net/snmp"), b"Ip: 1\xff\n").unwrap();
        let tree = Tree::at(&directory);
        assert_eq!(tree.net("snmp").unwrap(), "Ip: 1\u{fffd}\n");
        assert_eq!(tree.value("net/snmp").unwrap(), "Ip: 1\u{fffd}");
        assert_eq!(tree.list("net").unwrap(), ["snmp"]);
        assert_eq!(tree.read_bytes("net/snmp", 3).unwrap_err().errno, Errno::EFBIG);
        assert_eq!(tree.read_bytes("net/snmp", 7).unwrap().len(), 7);
        for name in ["../etc/passwd", "/etc/passwd", "net/../../x"] {
            assert_eq!(tree.read(name).unwrap_err().errno, Errno::EINVAL);
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn links_are_handed_out_until_enough() {
        let directory = std::env::temp_dir().join(format!("netwhy-sys-links-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("plain"), "").unwrap();
        for number in 0..3 {
            std::os::unix::fs::symlink(format!("socket:[{number}]"), directory.join(number.to_string()))
                .unwrap();
        }
        let mut seen = Vec::new();
        let walk = links(&directory, |name, target| {
            seen.push((name.to_owned(), String::from_utf8_lossy(target).into_owned()));
            ControlFlow::Continue(())
        });
        seen.sort();
        assert_eq!((walk, seen.len(), seen[2].clone()), (Ok(()), 3, ("2".into(), "socket:[2]".into())));
        let mut count = 0;
        links(&directory, |_, _| {
            count += 1;
            ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(count, 1);
        let mut low = Vec::new();
        numbered_links(&directory, [0, 1, 9], |number, target| {
            low.push((number, target.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(low, [(0, b"socket:[0]".to_vec()), (1, b"socket:[1]".to_vec())]);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(links(&directory, |_, _| ControlFlow::Continue(())).unwrap_err().errno, Errno::ENOENT);
    }
}
