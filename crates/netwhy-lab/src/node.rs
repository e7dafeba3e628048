//! A node: an imitation of a host. It has its own network, mounts, host name and processes.
//!
//! A child of the lab holds the namespaces; the first process inside is the node's init, and when the lab
//! ends, however it ends, the pipe to it closes, it exits, and everything in the node ends with it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use netwhy_sys::isolate::{Isolation, Kind};
use netwhy_sys::mount::Mount;
use netwhy_sys::netlink::{Protocol, Socket};
use netwhy_sys::netns::{self, Netns, NetnsId, NetnsRef};
use netwhy_sys::signal::Signal;

use crate::error::{LabError, Result};

/// The hidden argument that makes the binary a part of the lab.
pub const HIDDEN: &str = "__lab-node";

/// Files a node has of its own, under `/etc`.
const OWN_FILES: [&str; 3] = ["resolv.conf", "hosts", "nsswitch.conf"];

/// Where ip-netns(8) keeps names of namespaces.
const NAMED: &str = "/run/netns";

static HOME: OnceLock<NetnsId> = OnceLock::new();

/// Notes the namespace the lab was started in, which nothing here may change.
pub(crate) fn note_home() -> Result<NetnsId> {
    if let Some(home) = HOME.get() {
        return Ok(*home);
    }
    let here = netns::current()?;
    Ok(*HOME.get_or_init(|| here))
}

/// Fails if the calling thread is in the namespace the lab was started in.
pub(crate) fn refuse_home() -> Result<()> {
    if note_home()? == netns::current()? { Err(LabError::OutsideLab) } else { Ok(()) }
}

/// An imitation of a host.
#[derive(Debug)]
pub struct Node {
    /// Its name in the topology; also its host name.
    pub name: String,
    /// The process id of its init, seen from the lab.
    pub pid: u32,
    pub(crate) netns: Netns,
    pub(crate) route: Socket,
    pub(crate) netfilter: Option<Socket>,
    directory: PathBuf,
    /// Its own `/etc/resolv.conf`, `/etc/hosts` and `/etc/nsswitch.conf` could be mounted.
    pub has_own_etc: bool,
    /// `/sys` shows the node's devices, so that receive steering can be set.
    pub has_own_sysfs: bool,
    pub(crate) environment: Vec<(String, String)>,
    exe: PathBuf,
    holder: Child,
    _lifeline: ChildStdin,
}

impl Node {
    /// Starts a node. `directory` is where its own files are kept; `exe` is this program.
    pub fn start(name: &str, directory: &Path, exe: &Path) -> Result<Self> {
        let home = note_home()?;
        fs::create_dir_all(directory).map_err(LabError::io(format!("create {}", directory.display())))?;
        let mut has_own_etc = true;
        for file in OWN_FILES {
            let (own, target) = (directory.join(file), Path::new("/etc").join(file));
            let text = match file {
                "hosts" => format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{name}\n"),
                "nsswitch.conf" => "passwd:\tfiles\ngroup:\tfiles\nhosts:\tfiles dns\n".to_owned(),
                _ => String::new(),
            };
            fs::write(&own, text).map_err(LabError::io(format!("write {}", own.display())))?;
            has_own_etc &= target.exists();
        }
        let mut has_own_sysfs = true;
        let mut holder = match Self::spawn_holder(name, directory, exe, has_own_etc, true) {
            Ok(child) => child,
            // Inside some containers the kernel refuses a second view of /sys.
            Err(LabError::Sys(error)) if error.operation == "mount sysfs" => {
                has_own_sysfs = false;
                Self::spawn_holder(name, directory, exe, has_own_etc, false)?
            }
            Err(error) => return Err(error),
        };
        let broken = || LabError::Unexpected(format!("node {name} did not come up"));
        let lifeline = holder.stdin.take().ok_or_else(broken)?;
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().ok_or_else(broken)?);
        output.read_line(&mut said).map_err(LabError::io(format!("read from node {name}")))?;
        let pid = said.trim().parse().map_err(|_| broken())?;
        let netns = NetnsRef::Pid(pid).open()?;
        if netns.id() == home {
            return Err(LabError::OutsideLab);
        }
        let route = netns.run(|| Socket::open(Protocol::Route))??;
        Ok(Node {
            name: name.to_owned(),
            pid,
            netns,
            route,
            netfilter: None,
            directory: directory.to_owned(),
            has_own_etc,
            has_own_sysfs,
            environment: Vec::new(),
            exe: exe.to_owned(),
            holder,
            _lifeline: lifeline,
        })
    }

    fn spawn_holder(name: &str, directory: &Path, exe: &Path, etc: bool, sysfs: bool) -> Result<Child> {
        let kinds = [Kind::Net, Kind::Uts, Kind::Pid, Kind::Mount];
        let mut isolation = Isolation::new().new_namespaces(&kinds);
        isolation = isolation.mount(Mount::make_private(Path::new("/"))?);
        if sysfs {
            isolation = isolation.mount(Mount::sysfs(Path::new("/sys"))?);
        }
        if etc {
            for file in OWN_FILES {
                isolation =
                    isolation.mount(Mount::bind(&directory.join(file), &Path::new("/etc").join(file))?);
            }
        }
        // The machine's named namespaces are none of the imitated host's.
        if Path::new(NAMED).exists() {
            let empty = directory.join("netns");
            fs::create_dir_all(&empty).map_err(LabError::io(format!("create {}", empty.display())))?;
            isolation = isolation.mount(Mount::bind(&empty, Path::new(NAMED))?);
        }
        let mut command = Command::new(exe);
        command.args([HIDDEN, "hold", name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(isolation.death_signal(Signal::KILL).spawn(command)?)
    }

    /// Runs `work` on a thread inside the node's network namespace.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.netns.run(|| {
            refuse_home()?;
            work()
        })?
    }

    /// The node's namespace.
    pub fn netns_id(&self) -> NetnsId {
        self.netns.id()
    }

    /// The netfilter socket, opened at first use.
    pub(crate) fn netfilter(&mut self) -> Result<&mut Socket> {
        if self.netfilter.is_none() {
            self.netfilter = Some(self.inside(|| Ok(Socket::open(Protocol::Netfilter)?))?);
        }
        self.netfilter.as_mut().ok_or(LabError::OutsideLab)
    }

    /// A command that will run inside the node: `words` are this program's arguments.
    ///
    /// It is started through a small process that enters the node first, because a process cannot itself
    /// move to another process-id namespace. Ending that process ends the command.
    pub fn spawn(&self, words: &[&str], set_up: impl FnOnce(&mut Command)) -> Result<Child> {
        let exe = self.exe.to_string_lossy().into_owned();
        let all: Vec<&str> = std::iter::once(exe.as_str()).chain(words.iter().copied()).collect();
        self.spawn_any(&all, set_up)
    }

    /// As [`Self::spawn`]; the first line printed is `pid` and the process id as the lab sees it.
    pub(crate) fn spawn_telling(&self, words: &[&str], set_up: impl FnOnce(&mut Command)) -> Result<Child> {
        let exe = self.exe.to_string_lossy().into_owned();
        let all: Vec<&str> = ["--tell", &exe].into_iter().chain(words.iter().copied()).collect();
        self.spawn_any(&all, set_up)
    }

    /// As [`Self::spawn`], for any program.
    pub fn spawn_any(&self, words: &[&str], set_up: impl FnOnce(&mut Command)) -> Result<Child> {
        let kinds = [Kind::Net, Kind::Uts, Kind::Pid, Kind::Mount];
        let isolation = Isolation::new().join(self.pid, &kinds)?.death_signal(Signal::KILL);
        let mut command = Command::new(&self.exe);
        command.args([HIDDEN, "enter"]).args(words);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        set_up(&mut command);
        Ok(isolation.spawn(command)?)
    }

    /// Runs this program inside the node and returns what it printed and whether it succeeded.
    pub fn output(&self, words: &[&str]) -> Result<std::process::Output> {
        let child = self.spawn(words, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        child.wait_with_output().map_err(LabError::io(format!("run {} in {}", words.join(" "), self.name)))
    }

    /// Sends a process of the node a signal; `pid` is its number inside.
    pub fn signal(&self, pid: u32, signal: Signal) -> Result<()> {
        let (number, pid) = (signal.number().to_string(), pid.to_string());
        let output = self.output(&[HIDDEN, "signal", &number, &pid])?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::Unexpected(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// Writes one of the node's own files (`resolv.conf`, `hosts`, `nsswitch.conf`).
    pub fn write_etc(&self, file: &str, text: &str) -> Result<()> {
        if !self.has_own_etc {
            return Err(LabError::Unsupported(format!("/etc/{file} is not there to be covered")));
        }
        // Written in place: the mount shows this inode, not this name.
        let path = self.directory.join(file);
        let mut options = fs::OpenOptions::new();
        let mut open = options
            .write(true)
            .truncate(true)
            .open(&path)
            .map_err(LabError::io(format!("open {}", path.display())))?;
        open.write_all(text.as_bytes()).map_err(LabError::io(format!("write {}", path.display())))
    }

    /// Reads one of the node's own files.
    pub fn read_etc(&self, file: &str) -> Result<String> {
        let path = self.directory.join(file);
        fs::read_to_string(&path).map_err(LabError::io(format!("read {}", path.display())))
    }

    /// Writes a kernel setting of the node's network: `net.ipv4.ip_forward` or `net/ipv4/conf/eth0/rp_filter`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = sysctl_path(name)?;
        self.inside(|| {
            fs::write(&path, value).map_err(LabError::io(format!("write {value} to {}", path.display())))
        })
    }

    /// Reads a kernel setting of the node's network.
    pub fn sysctl_get(&self, name: &str) -> Result<String> {
        let path = sysctl_path(name)?;
        self.inside(|| {
            let text = fs::read_to_string(&path).map_err(LabError::io(format!("read {}", path.display())))?;
            Ok(text.trim().to_owned())
        })
    }

    /// Makes the receive side of a device run on the machine's last processor. A veth pair otherwise
    /// delivers inside the sender's system call, which no real network does and which distorts counters.
    pub(crate) fn steer(&self, device: &str) -> Result<()> {
        if !self.has_own_sysfs {
            return Ok(());
        }
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let last = processors.clamp(1, 32) - 1;
        let mask = format!("{:x}", 1_u64 << last);
        let queues = PathBuf::from(format!("/proc/{}/root/sys/class/net/{device}/queues", self.pid));
        let entries = fs::read_dir(&queues).map_err(LabError::io(format!("read {}", queues.display())))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("rx-") {
                let path = entry.path().join("rps_cpus");
                match fs::write(&path, &mask) {
                    // Only for root of the machine: an ordinary user's lab goes without.
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                    result => result.map_err(LabError::io(format!("write {}", path.display())))?,
                }
            }
        }
        Ok(())
    }
}

fn sysctl_path(name: &str) -> Result<PathBuf> {
    let relative = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    if !relative.starts_with("net/") || relative.contains("..") {
        return Err(LabError::Usage(format!("{name} is not a setting of the network")));
    }
    Ok(Path::new("/proc/sys").join(relative))
}

impl Drop for Node {
    fn drop(&mut self) {
        // The holder ends the init; the init's end ends every process inside.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use netwhy_sys::caps::{self, Capability};

    use super::*;

    #[test]
    fn the_namespace_the_lab_was_started_in_is_refused() {
        note_home().unwrap();
        assert!(matches!(refuse_home(), Err(LabError::OutsideLab)));
        if caps::effective().unwrap().has(Capability::SysAdmin) {
            netns::in_new_netns(|| refuse_home().unwrap()).unwrap();
        } else {
            println!("skipped in part: needs CAP_SYS_ADMIN to make another namespace");
        }
        assert!(matches!(refuse_home(), Err(LabError::OutsideLab)));
    }

    #[test]
    fn only_settings_of_the_network_are_written() {
        assert_eq!(
            sysctl_path("net.ipv4.conf.eth0.rp_filter").unwrap(),
            Path::new("/proc/sys/net/ipv4/conf/eth0/rp_filter")
        );
        assert_eq!(sysctl_path("net/ipv4/ip_forward").unwrap(), Path::new("/proc/sys/net/ipv4/ip_forward"));
        for other in ["kernel.hostname", "net/../kernel/hostname", "/proc/sys/net/ipv4/ip_forward"] {
            assert!(sysctl_path(other).is_err(), "{other}");
        }
    }
}
