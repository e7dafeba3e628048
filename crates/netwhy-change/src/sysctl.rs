//! One setting of `/proc/sys`.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A setting of the namespace the calling thread is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    path: PathBuf,
}

impl Setting {
    /// The setting at a path below a procfs, such as `net/ipv4/ip_forward`; an error if it leads elsewhere.
    pub fn at(proc: &Path, path: &str) -> io::Result<Self> {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        match plain && !path.is_empty() {
            true => Ok(Setting { path: proc.join("sys").join(path) }),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is no setting"))),
        }
    }

    /// What it is now, without the newline: what writing it again would restore.
    pub fn value(&self) -> io::Result<String> {
        let bytes = std::fs::read(&self.path)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Writes it. The kernel refuses what it does not understand.
    pub fn set(&self, value: &str) -> io::Result<()> {
        use std::io::Write;
        // No file is made: a name the kernel does not have is an error.
        let mut file = std::fs::OpenOptions::new().write(true).open(&self.path)?;
        // In one piece: the kernel takes each write for a whole value.
        file.write_all(format!("{value}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_written_and_kept_inside() {
        let proc = std::env::temp_dir().join(format!("netwhy-change-sysctl-{}", std::process::id()));
        std::fs::create_dir_all(proc.join("sys/net")).unwrap();
        std::fs::write(proc.join("sys/net/x"), "4096\t8192\n").unwrap();
        let setting = Setting::at(&proc, "net/x").unwrap();
        assert_eq!(setting.value().unwrap(), "4096\t8192");
        setting.set("1").unwrap();
        assert_eq!(setting.value().unwrap().lines().next(), Some("1"));
        assert!(Setting::at(&proc, "../etc/passwd").is_err() && Setting::at(&proc, "").is_err());
        assert!(Setting::at(&proc, "net/nosuch").unwrap().set("1").is_err(), "no file is made");
        std::fs::remove_dir_all(&proc).unwrap();
    }
}
