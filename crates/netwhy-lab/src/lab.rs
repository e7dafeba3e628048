//! A running laboratory: nodes joined by cables, and the services in them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netwhy_sys::bpf::Link;
use netwhy_sys::process::PidFd;
use netwhy_sys::signal::Signal;

use crate::error::{LabError, Result};
use crate::node::{HIDDEN, Node, note_home};
use crate::probe::{self, Outcome, PATIENCE, Target};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A process in a node.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The node it runs in.
    pub node: String,
    /// Its process id as the node sees it.
    pub pid: u32,
    process: PidFd,
    child: Child,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Its sockets are gone when it is: what follows may want the same port.
        if self.process.kill(Signal::KILL).is_ok() {
            let _ = self.process.wait_end(Some(Instant::now() + PATIENCE));
        }
        // The process between it and us ends by itself, and else with this.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process just started, its output, and what it had said already.
type Started = (Service, BufReader<ChildStdout>, String);

/// How the directories of laboratories are called, and the file in them that is locked while one is in use.
const PREFIX: &str = "netwhy-lab-";
const LOCK: &str = "lock";

static SWEEP: Once = Once::new();

/// Removes what laboratories left behind that were killed: all else ends with the process, files do not.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // One that cannot be opened is another user's, or is being made.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Nodes, services and the directory with the nodes' own files. All of it is gone when this is dropped.
#[derive(Debug)]
pub struct Lab {
    /// Held as long as the directory is in use.
    _lock: File,
    // Services end before the nodes they live in.
    services: Vec<Service>,
    links: Vec<Link>,
    nodes: Vec<Node>,
    directory: PathBuf,
    exe: PathBuf,
}

impl Lab {
    /// An empty laboratory. `exe` is the program that answers to [`crate::hidden_main`].
    pub fn new(exe: PathBuf) -> Result<Self> {
        note_home()?;
        SWEEP.call_once(sweep);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        let failed = || format!("create {}", directory.display());
        std::fs::create_dir_all(&directory).map_err(LabError::io(failed()))?;
        let lock = File::create(directory.join(LOCK)).map_err(LabError::io(failed()))?;
        lock.lock().map_err(LabError::io(failed()))?;
        Ok(Lab { _lock: lock, services: Vec::new(), links: Vec::new(), nodes: Vec::new(), directory, exe })
    }

    /// As [`Self::new`], run by the program that is running.
    pub fn of_this_program() -> Result<Self> {
        Lab::new(std::env::current_exe().map_err(LabError::io("find this program"))?)
    }

    /// Adds a node.
    pub fn add_node(&mut self, name: &str) -> Result<()> {
        let node = Node::start(name, &self.directory.join(name), &self.exe)?;
        self.nodes.push(node);
        let node = self.node(name)?;
        // Without waiting a second or two for duplicates of the link-local address, without which a router
        // cannot ask for its neighbours.
        node.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        node.link_up("lo")
    }

    /// A node by name.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        let missing = || LabError::Usage(format!("no node {name} in this topology"));
        self.nodes.iter_mut().find(|node| node.name == name).ok_or_else(missing)
    }

    /// Where the laboratory keeps its files.
    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Sets a variable for every program started in a node from now on.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        for node in &mut self.nodes {
            node.environment.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Denies connect(2) to every program started in a node from now on, or allows it again.
    pub(crate) fn deny_connect(&mut self, node: &str, deny: bool) -> Result<()> {
        let node = self.node(node)?;
        node.environment.retain(|(name, _)| name != crate::hidden::DENIED);
        if deny {
            node.environment.push((crate::hidden::DENIED.to_owned(), "1".to_owned()));
        }
        Ok(())
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Lays a cable between two nodes' devices, without addresses, both ends up.
    pub fn cable(&mut self, one: (&str, &str), other: (&str, &str)) -> Result<()> {
        let at = |lab: &Lab, name: &str| lab.nodes.iter().position(|node| node.name == name);
        let missing = || LabError::Usage(format!("no cable from {} to {}", one.0, other.0));
        let (a, b) = (at(self, one.0).ok_or_else(missing)?, at(self, other.0).ok_or_else(missing)?);
        if a == b {
            return Err(missing());
        }
        let (low, high) = self.nodes.split_at_mut(a.max(b));
        let (Some(first), Some(second)) = (low.get_mut(a.min(b)), high.first_mut()) else {
            return Err(missing());
        };
        let (first_end, second_end) = if a < b { (one.1, other.1) } else { (other.1, one.1) };
        crate::net::veth(first, first_end, second, second_end)?;
        first.link_up(first_end)?;
        second.link_up(second_end)?;
        first.wait_carrier(first_end)?;
        second.wait_carrier(second_end)
    }

    /// Waits until every IPv6 address is in use.
    pub(crate) fn settle(&self) -> Result<()> {
        match self.nodes.iter().find(|node| !node.settle(Duration::from_secs(3))) {
            None => Ok(()),
            Some(node) => Err(LabError::Unexpected(format!("{}: an IPv6 address is not in use", node.name))),
        }
    }

    /// Starts a service in a node and waits until it can be reached. Returns its process id there.
    pub fn serve(&mut self, node: &str, name: &str, kind: &str, arguments: &[&str]) -> Result<u32> {
        let words: Vec<&str> =
            [HIDDEN, "serve", kind, "--name", name].iter().chain(arguments).copied().collect();
        let (mut service, mut reader, mut said) = self.start(node, name, &words)?;
        if said.is_empty() {
            reader.read_line(&mut said).map_err(LabError::io(format!("read from {name}")))?;
        }
        let pid = said.strip_prefix("ready ").and_then(|rest| rest.trim().parse().ok());
        service.pid = pid.ok_or_else(|| LabError::Unexpected(format!("service {name} did not start")))?;
        let pid = service.pid;
        self.services.push(service);
        Ok(pid)
    }

    /// Starts a process of this program in a node. What it said before its process id came is returned too.
    fn start(&mut self, node: &str, name: &str, words: &[&str]) -> Result<Started> {
        let mut child = self.node(node)?.spawn_telling(words, |command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let unexpected = || LabError::Unexpected(format!("{name} did not start in {node}"));
        let mut reader = BufReader::new(child.stdout.take().ok_or_else(unexpected)?);
        let mut early = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).map_err(LabError::io(format!("read from {name}")))?;
            if let Some(number) = line.strip_prefix("pid ") {
                let process = PidFd::open(number.trim().parse().map_err(|_| unexpected())?)?;
                let (name, node) = (name.to_owned(), node.to_owned());
                return Ok((Service { name, node, pid: 0, process, child }, reader, early));
            }
            // The service may be quicker than the process that tells its id.
            if line.is_empty() || !early.is_empty() {
                return Err(unexpected());
            }
            early = line;
        }
    }

    /// The process id of a service, as its node sees it.
    pub fn pid(&self, service: &str) -> Result<u32> {
        let found = self.services.iter().find(|one| one.name == service);
        Ok(found.ok_or_else(|| LabError::Usage(format!("no service {service}")))?.pid)
    }

    /// Ends a service.
    pub fn stop(&mut self, service: &str) -> Result<()> {
        let before = self.services.len();
        self.services.retain(|one| one.name != service);
        if self.services.len() == before {
            return Err(LabError::Usage(format!("no service {service}")));
        }
        Ok(())
    }

    /// Ends every service of a node but this one.
    pub(crate) fn stop_all_but(&mut self, node: &str, kept: &str) {
        self.services.retain(|one| one.node != node || one.name == kept);
    }

    /// Waits until nothing waits in the accept queues of a port: a SYN that meets a full queue is lost, and
    /// comes again only after a second.
    pub fn drained(&mut self, node: &str, port: u16) -> Result<()> {
        let pid = self.node(node)?.pid;
        // number, local address:port, remote, state (0A is LISTEN), send queue:receive queue
        let waiting = |file: &str| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
            text.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [_, local, _, "0A", queues, ..] = words[..] else { return false };
                local.ends_with(&format!(":{port:04X}")) && !queues.ends_with(":00000000")
            })
        };
        let end = Instant::now() + Duration::from_secs(2);
        while waiting("tcp") || waiting("tcp6") {
            if Instant::now() > end {
                return Err(LabError::Unexpected(format!("the queue of port {port} stays full")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Keeps a BPF link until [`Self::drop_links`] or the end.
    pub fn keep_link(&mut self, link: Link) {
        self.links.push(link);
    }

    /// Lets go of the BPF links kept: their programs are detached.
    pub fn drop_links(&mut self) {
        for link in self.links.drain(..) {
            // Closing alone is not enough: a process being started holds a copy for a moment.
            let _ = link.detach();
        }
    }

    /// Sends a service's process a signal.
    pub fn signal(&mut self, service: &str, signal: Signal) -> Result<()> {
        let found = self.services.iter().find(|one| one.name == service);
        let found = found.ok_or_else(|| LabError::Usage(format!("no service {service}")))?;
        let (node, pid) = (found.node.clone(), found.pid);
        self.node(&node)?.signal(pid, signal)
    }

    /// A client that tries again and again, as traffic for a question asked elsewhere than at the client.
    pub fn keep_trying(&mut self, node: &str, target: &str) -> Result<()> {
        let name = "client that keeps trying";
        let (service, ..) = self.start(node, name, &[HIDDEN, "try", target, "every", "200"])?;
        self.services.push(service);
        Ok(())
    }

    /// Tries once from a node, as an application there would.
    pub fn try_from(&mut self, node: &str, target: &str) -> Result<Outcome> {
        self.try_for(node, target, PATIENCE)
    }

    /// As [`Self::try_from`], with this much patience (with a name or TLS: the usual).
    pub fn try_for(&mut self, node: &str, target: &str, patience: Duration) -> Result<Outcome> {
        let parsed = Target::parse(target)?;
        if parsed.literal().is_some() && parsed.scheme != "tls" {
            return self.node(node)?.inside(|| Ok(probe::attempt(&parsed, patience)));
        }
        // A name is looked up with the node's own files, which only a process in the node sees.
        let start = Instant::now();
        let output = self.node(node)?.output(&[HIDDEN, "try", target])?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let failure = match said.as_str() {
            "ok" => None,
            "" => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            other => Some(other.to_owned()),
        };
        Ok(Outcome { failure, elapsed: start.elapsed() })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.services.clear();
        self.links.clear();
        self.nodes.clear();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
