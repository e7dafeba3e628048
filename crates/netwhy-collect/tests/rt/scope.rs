//! Where is read, and with what privilege.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use netwhy_collect::neigh::NeighFilter;
use netwhy_collect::{Collector, Scope};
use netwhy_facts::Reading;
use netwhy_facts::route::FibKey;
use netwhy_sys::netns::{self, NetnsRef};
use netwhy_sys::{caps, process};

use crate::space::{in_namespace, run, value};

/// A shell in a namespace of its own that does what it is told and ends with its standard input.
struct Elsewhere(Child);

impl Elsewhere {
    fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Elsewhere(child)
    }

    /// Runs lines, and returns once they have been carried out.
    fn tell(&mut self, lines: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{lines}\necho done").unwrap();
        let mut answer = [0; 5];
        std::io::Read::read_exact(self.0.stdout.as_mut().unwrap(), &mut answer).unwrap();
        assert_eq!(&answer, b"done\n");
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn another_namespace_is_read_from_outside() {
    in_namespace(&["ip"], || {
        let mut there = Elsewhere::new();
        there.tell(
            "ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up;
             ip addr add 198.51.100.1/24 dev v0; echo 1 > /proc/sys/net/ipv4/conf/all/forwarding;
             echo 3000 4000 > /proc/sys/net/ipv4/ip_local_port_range",
        );
        let pid = there.0.id();
        let collector = Collector::open(Scope::of(NetnsRef::Pid(pid))).unwrap();
        assert_ne!(collector.netns_id(), netns::current().unwrap());
        assert_eq!(collector.netns_id(), netns::of_process(pid).unwrap());
        assert!(value(collector.links()).by_name("v0").is_some());
        assert_eq!(value(collector.addresses()).0.iter().filter(|a| a.prefix == 24).count(), 1);
        let settings = value(collector.sysctls());
        assert_eq!(settings.number("net.ipv4.ip_forward"), Some(1));
        assert_eq!(settings.0["net.ipv4.ip_local_port_range"], "3000 4000");
        assert!(value(collector.mib()).0.contains_key("Ip.OutNoRoutes"));
        let reading = collector.nics(&[value(collector.links()).by_name("v0").unwrap().index]);
        assert_eq!(value(reading).0[0].driver.value().map(String::as_str), Some("veth"));
        let here = Collector::here().unwrap();
        assert!(value(here.links()).by_name("v0").is_none());
        assert_eq!(value(here.sysctls()).number("net.ipv4.ip_forward"), Some(0));

        // Counters move where the packets are.
        let before = value(collector.mib()).0["Ip.OutNoRoutes"];
        there.tell("ip route get 203.0.113.1 > /dev/null 2>&1; ping -c1 -W1 203.0.113.1 > /dev/null 2>&1");
        let after = value(collector.mib()).0["Ip.OutNoRoutes"];
        if Command::new("ping").arg("-V").output().is_ok() {
            assert!(after > before, "{before} {after}");
        }
    });
}

#[test]
fn an_ordinary_user_reads_all_but_what_is_refused_by_name() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let outside = NetnsRef::Pid(std::process::id());
        caps::keep_only(caps::CapSet::EMPTY).unwrap();
        let c = Collector::here().unwrap();
        assert!(c.links().is_known() && c.addresses().is_known() && c.routes().is_known());
        assert!(c.rules().is_known() && c.fib(&[FibKey::to("127.0.0.1".parse().unwrap())]).is_known());
        assert!(matches!(c.nexthops(), Reading::Known { .. } | Reading::Unsupported { .. }));
        assert!(c.neighbours(NeighFilter::All).is_known() && c.neigh_tables().is_known());
        assert!(c.tc(None).is_known() && c.mib().is_known() && c.sysctls().is_known());
        assert!(c.fdb().is_known() && c.sockstat().is_known() && c.softnet().is_known());
        let other = Collector::open(Scope::of(outside)).unwrap();
        assert!(matches!(other.links(), Reading::Denied { .. }), "{:?}", other.links().absence());
        assert!(matches!(other.mib(), Reading::Denied { .. }));
        assert!(matches!(other.sysctls(), Reading::Denied { .. }));
    });
}

#[test]
fn a_namespace_that_is_not_there_is_an_error_with_its_name() {
    let error = Collector::open(Scope::of(NetnsRef::Name("no-such-one".into()))).unwrap_err();
    assert!(error.to_string().contains("no-such-one"), "{error}");
}

#[test]
fn a_process_is_described_as_proc_has_it() {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec 7</dev/null 8</dev/null; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let collector = Collector::here().unwrap();
    let read = || value(collector.processes(&[pid, u32::MAX / 2])).0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while read()[0].comm != "cat" || read()[0].state == 'R' {
        assert!(std::time::Instant::now() < deadline, "{:?}", read());
        std::thread::yield_now();
    }
    let [one] = &read()[..] else { panic!("the missing one is left out: {:?}", read()) };
    assert_eq!((one.pid, one.state), (pid, 'S'));
    assert_eq!(one.nofile_soft.value(), Some(&64));
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    assert!(descriptors >= 5, "0, 1, 2, 7, 8 and what the tests' parent left open");
    assert_eq!(one.open_fds.value(), Some(&descriptors));
    assert_eq!(one.netns.value(), Some(&netns::current().unwrap().inode));
    assert_eq!((one.seccomp.is_some(), one.threads.len()), (true, 1));
    assert!(one.cgroup.value().is_some_and(|group| group.starts_with('/')));
    process::kill(pid, netwhy_sys::signal::Signal::STOP).unwrap();
    while read()[0].state != 'T' {
        assert!(std::time::Instant::now() < deadline, "{:?}", read());
        std::thread::yield_now();
    }
    process::kill(pid, netwhy_sys::signal::Signal::CONT).unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(value(collector.processes(&[pid])).0.is_empty());
    let table = value(collector.file_table());
    assert!(table.allocated > 0 && table.max >= table.allocated);
}
