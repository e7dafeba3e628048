//! BPF programs at every hook this kernel lets a test use.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netwhy_collect::Collector;
use netwhy_facts::Reading;
use netwhy_facts::bpf::BpfAttached;
use netwhy_sys::bpf::{AttachType, Link, LinkTarget, Program, ProgramType};
use netwhy_sys::netns::NetnsRef;

use crate::programs::{attach_filter, program, program_for};
use crate::space::{in_namespace, run, value};

/// Makes an attachment, or says why this kernel does not.
fn link(program: &Program, target: LinkTarget<'_>) -> Option<Link> {
    match Link::create(program, target) {
        Ok(link) => Some(link),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn read(processes: &[u32]) -> Vec<BpfAttached> {
    value(Collector::here().unwrap().bpf(None, processes)).0
}

#[test]
fn programs_on_a_device() {
    in_namespace(&["ip", "tc"], || {
        run("ip link add v0 type veth peer name v1
             ip link set v0 up
             ip link set v1 up
             tc qdisc add dev v1 clsact");
        let collector = Collector::here().unwrap();
        let index = |name: &str| value(collector.links()).by_name(name).unwrap().index;
        let (v0, v1) = (index("v0"), index("v1"));
        assert_eq!(read(&[]).iter().filter(|one| one.ifindex.is_some()).count(), 0);
        let Some(filter) = program(ProgramType::SCHED_CLS, "filter", 0) else { return };
        attach_filter(v1, 0xffff_fff2, &filter);
        let xdp = program(ProgramType::XDP, "pass_xdp", 2).unwrap();
        let held = link(&xdp, LinkTarget::Xdp { ifindex: v0, flags: 2 });
        let first = program(ProgramType::SCHED_CLS, "tcx_first", -1).unwrap();
        let second = program(ProgramType::SCHED_CLS, "tcx_second", -1).unwrap();
        let egress = |program: &Program| {
            link(program, LinkTarget::Tcx { ifindex: v0, attach: AttachType::TCX_EGRESS })
        };
        let tcx = [egress(&first), egress(&second)];

        let found = read(&[]);
        let at = |hook: &str| found.iter().filter(|one| one.hook == hook).collect::<Vec<_>>();
        let [one] = at("tc-ingress")[..] else { panic!("{found:#?}") };
        assert_eq!((one.ifindex, one.name.as_str(), one.position), (Some(v1), "filter", 0));
        assert_eq!(one.prog_id, filter.info().unwrap().id);
        assert_eq!(one.tag.len(), 16);
        assert!(matches!(one.run_cnt, Reading::Unsupported { .. } | Reading::Known { .. }));
        if let Some(held) = &held {
            let [one] = at("xdp-generic")[..] else { panic!("{found:#?}") };
            assert_eq!((one.ifindex, one.name.as_str()), (Some(v0), "pass_xdp"));
            assert_eq!(one.link_id, Some(held.info().unwrap().id));
        }
        if tcx.iter().all(Option::is_some) {
            let names: Vec<_> =
                at("tcx-egress").iter().map(|one| (one.name.as_str(), one.position, one.link_id)).collect();
            let id = |link: &Option<Link>| link.as_ref().map(|link| link.info().unwrap().id);
            assert_eq!(names, [("tcx_first", 0, id(&tcx[0])), ("tcx_second", 1, id(&tcx[1]))]);
        }
        let only_v1 = value(collector.bpf(Some(&[v1]), &[])).0;
        assert!(only_v1.iter().all(|one| one.ifindex != Some(v0)));

        let mut programs = netwhy_facts::bpf::BpfPrograms(found.clone());
        collector.bpf_holders(&mut programs);
        let filter = programs.0.iter().find(|one| one.hook == "tc-ingress").unwrap();
        match &filter.holders {
            Reading::Known { value, .. } => assert!(value.iter().any(|(pid, _)| *pid == std::process::id())),
            Reading::Denied { .. } => println!("skipped: not allowed to look into every process"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn programs_of_the_namespace() {
    in_namespace(&["ip"], || {
        run("ip link set lo up");
        let lookup = program_for(ProgramType::SK_LOOKUP, Some(AttachType::SK_LOOKUP), "lookup", 1);
        let Some(lookup) = lookup else { return };
        let netns = NetnsRef::Current.open().unwrap();
        let target = LinkTarget::Netns { namespace: netns.as_fd(), attach: AttachType::SK_LOOKUP };
        let held = link(&lookup, target);
        let accept = program_for(ProgramType::NETFILTER, Some(AttachType::NETFILTER), "nf_accept", 1);
        let accept = accept.unwrap();
        let hook = link(&accept, LinkTarget::Netfilter { family: 2, hook: 3, priority: -77 });
        let found = read(&[]);
        if held.is_some() {
            let one = found.iter().find(|one| one.hook == "sk-lookup").unwrap();
            assert_eq!(one.name, "lookup");
        }
        if let Some(hook) = hook {
            let one = found.iter().find(|one| one.netfilter == Some((2, 3, -77))).unwrap();
            assert_eq!((one.hook.as_str(), one.name.as_str()), ("netfilter", "nf_accept"));
            assert_eq!(one.link_id, Some(hook.info().unwrap().id));
        }
    });
}

/// A control group of this test's own with one below it, and a process in that; all gone when dropped.
struct Groups {
    outer: PathBuf,
    inner: PathBuf,
    child: Child,
}

impl Groups {
    fn new() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let Some(mount) = netwhy_collect::bpf::cgroup_mount(&text) else {
            println!("skipped: no cgroup2 mount");
            return None;
        };
        let outer = mount.point.join(format!("netwhy-test-{}", std::process::id()));
        let inner = outer.join("inner");
        if let Err(error) = std::fs::create_dir_all(&inner) {
            println!("skipped: cannot make a control group: {error}");
            return None;
        }
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let groups = Groups { outer, inner, child };
        std::fs::write(groups.inner.join("cgroup.procs"), groups.child.id().to_string()).unwrap();
        Some(groups)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_dir(&self.inner);
        let _ = std::fs::remove_dir(&self.outer);
    }
}

#[test]
fn programs_of_a_control_group_and_its_ancestors() {
    let Some(groups) = Groups::new() else { return };
    let attach = |directory: &Path, kind, attach, name| {
        let program = program_for(kind, Some(attach), name, 1)?;
        let directory = std::fs::File::open(directory).unwrap();
        link(&program, LinkTarget::Cgroup { directory: directory.as_fd(), attach })
    };
    let connect = AttachType::CGROUP_INET4_CONNECT;
    let outer = attach(&groups.outer, ProgramType::CGROUP_SOCK_ADDR, connect, "outer");
    let inner = attach(&groups.inner, ProgramType::CGROUP_SOCK_ADDR, connect, "inner");
    let egress = attach(&groups.outer, ProgramType::CGROUP_SKB, AttachType::CGROUP_INET_EGRESS, "egress");
    let (Some(outer), Some(inner), Some(egress)) = (outer, inner, egress) else { return };

    let found = read(&[groups.child.id()]);
    let name = format!("netwhy-test-{}", std::process::id());
    let of = |hook: &str| -> Vec<(String, String, Option<u32>)> {
        let ours = found.iter().filter(|one| one.hook == hook);
        let ours = ours.filter(|one| one.cgroup.as_ref().is_some_and(|group| group.contains(&name)));
        ours.map(|one| (one.name.clone(), one.cgroup.clone().unwrap(), one.link_id)).collect()
    };
    let id = |link: &Link| Some(link.info().unwrap().id);
    // The kernel runs the innermost first.
    assert_eq!(
        of("cgroup-connect4"),
        [
            ("inner".into(), format!("/{name}/inner"), id(&inner)),
            ("outer".into(), format!("/{name}"), id(&outer)),
        ]
    );
    assert_eq!(of("cgroup-egress"), [("egress".into(), format!("/{name}"), id(&egress))]);
    // A process elsewhere is not concerned.
    let elsewhere = read(&[std::process::id()]);
    assert!(elsewhere.iter().all(|one| one.cgroup.as_ref().is_none_or(|group| !group.contains(&name))));
}

#[test]
fn without_privilege_the_refusal_is_named() {
    let refused = std::thread::spawn(|| {
        netwhy_sys::caps::keep_only(netwhy_sys::caps::CapSet::EMPTY).unwrap();
        Collector::here().unwrap().bpf(None, &[])
    });
    match refused.join().unwrap() {
        Reading::Denied { needs } => assert!(needs.contains("CAP_NET_ADMIN")),
        Reading::Known { .. } => println!("skipped: this kernel asks for no privilege"),
        other => panic!("{other:?}"),
    }
}
