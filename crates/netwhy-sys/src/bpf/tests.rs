//! Against the running kernel; everything is gone when the test ends.

use std::os::fd::AsFd;

use super::*;
use crate::caps::{self, Capability};
use crate::testing::{NewNet, make_veth, new_netns};

/// `r0 = value; exit`.
fn returns(value: i32) -> [Instruction; 2] {
    [Instruction::new(0xb7, 0, 0, 0, value), Instruction::new(0x95, 0, 0, 0, 0)]
}

fn able() -> bool {
    let able = caps::effective().unwrap().has(Capability::SysAdmin);
    if !able {
        println!("skipped: needs CAP_SYS_ADMIN");
    }
    able
}

fn load(kind: ProgramType, attach: Option<AttachType>, value: i32, name: &str) -> Program {
    Program::load(&ProgramSpec { attach, name, ..ProgramSpec::new(kind, &returns(value)) }).unwrap()
}

#[test]
fn a_program_is_loaded_run_and_found_again() {
    if !able() {
        return;
    }
    let program = load(ProgramType::SCHED_CLS, None, 2, "nwt shot!");
    let info = program.info().unwrap();
    assert_eq!((info.kind, info.name.as_str()), (ProgramType::SCHED_CLS, "nwt_shot_"));
    assert!(info.maps.is_empty() && !info.loaded.is_zero());
    assert!(ids(Object::Program).unwrap().contains(&info.id));
    assert_eq!(Program::by_id(info.id).unwrap().info().unwrap().tag, info.tag);
    let run = program.test_run(&[0x55; 60], 3).unwrap();
    assert_eq!((run.result, run.data.as_slice()), (2, &[0x55; 60][..]));
    drop(program);
    // The kernel takes it down in its own time, but the id is out of the list at once or soon.
    assert_eq!(Program::by_id(u32::MAX - 1).unwrap_err().errno, Errno::ENOENT);
}

#[test]
fn a_refused_program_says_why() {
    if !able() {
        return;
    }
    let bad = [Instruction::new(0x95, 0, 0, 0, 0)];
    let error = Program::load(&ProgramSpec::new(ProgramType::SOCKET_FILTER, &bad)).unwrap_err();
    assert_eq!(error.error.errno, Errno::EACCES);
    assert!(error.log.contains("R0 !read_ok"), "{}", error.log);
    assert!(error.to_string().ends_with("R0 !read_ok"), "{error}");
}

#[test]
fn maps_hold_what_is_put_into_them() {
    if !able() {
        return;
    }
    let spec =
        MapSpec { kind: MapType::HASH, key_size: 4, value_size: 8, max_entries: 4, flags: 0, name: "nwt" };
    let map = Map::create(&spec).unwrap();
    assert_eq!(map.lookup(&[1, 0, 0, 0]).unwrap(), None);
    map.update(&[1, 0, 0, 0], &[7; 8], Update::Create).unwrap();
    map.update(&[2, 0, 0, 0], &[8; 8], Update::Any).unwrap();
    let again = map.update(&[1, 0, 0, 0], &[9; 8], Update::Create).unwrap_err();
    assert_eq!((again.operation, again.errno), ("bpf map update", Errno::EEXIST));
    assert_eq!(map.lookup(&[1, 0, 0, 0]).unwrap().unwrap(), [7; 8]);
    let mut keys = Vec::new();
    let mut key: Option<Vec<u8>> = None;
    while let Some(next) = map.next_key(key.as_deref()).unwrap() {
        keys.push(next[0]);
        key = Some(next);
    }
    keys.sort_unstable();
    assert_eq!(keys, [1, 2]);
    assert!(map.delete(&[1, 0, 0, 0]).unwrap() && !map.delete(&[1, 0, 0, 0]).unwrap());
    // A short key must never reach the kernel, which would read beyond it.
    assert_eq!(map.lookup(&[1]).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(map.update(&[1, 0, 0, 0], &[1], Update::Any).unwrap_err().errno, Errno::EINVAL);
    let info = Map::by_id(map.info().unwrap().id).unwrap().info().unwrap();
    assert_eq!((info.kind, info.value_size, info.name.as_str()), (MapType::HASH, 8, "nwt"));
}

#[test]
fn a_per_cpu_map_has_a_value_for_each_cpu() {
    if !able() {
        return;
    }
    let kind = MapType::PERCPU_ARRAY;
    let map = Map::create(&MapSpec { kind, key_size: 4, value_size: 4, max_entries: 1, flags: 0, name: "p" })
        .unwrap();
    assert_eq!(map.value_size(), 8 * possible_cpus().unwrap());
    let value: Vec<u8> =
        (0..map.value_size()).map(|index| if index % 8 < 4 { index as u8 } else { 0 }).collect();
    map.update(&[0; 4], &value, Update::Any).unwrap();
    assert_eq!(map.lookup(&[0; 4]).unwrap().unwrap(), value);
}

#[test]
fn links_are_found_where_they_are_attached() {
    let NewNet::Here(()) = new_netns(|| {
        let (near, _) = make_veth("nwt0", "nwt1");
        let refused = |error: &SysError| {
            let old = matches!(error.errno, Errno::EINVAL | Errno::EOPNOTSUPP);
            assert!(old, "{error}");
            println!("not tried: this kernel has no such link ({error})");
        };
        let attach = AttachType::TCX_INGRESS;
        assert_eq!(query(QueryTarget::Device(near), attach, false).unwrap().programs, []);
        let program = load(ProgramType::SCHED_CLS, Some(attach), -1, "nwt_tcx");
        match Link::create(&program, LinkTarget::Tcx { ifindex: near, attach }) {
            Err(error) => refused(&error),
            Ok(link) => {
                let info = link.info().unwrap();
                assert_eq!((info.kind, info.program), (LinkType::TCX, program.info().unwrap().id));
                assert_eq!(info.at, LinkAt::Tcx { ifindex: near, attach });
                let there = query(QueryTarget::Device(near), attach, false).unwrap();
                assert_eq!(there.programs, [Attached { program: info.program, link: Some(info.id) }]);
                assert!(there.revision > 0 && ids(Object::Link).unwrap().contains(&info.id));
                link.detach().unwrap();
                assert_eq!(query(QueryTarget::Device(near), attach, false).unwrap().programs, []);
            }
        }

        let program = load(ProgramType::XDP, None, 2, "nwt_xdp");
        match Link::create(&program, LinkTarget::Xdp { ifindex: near, flags: 2 }) {
            Err(error) => refused(&error),
            Ok(link) => assert_eq!(link.info().unwrap().at, LinkAt::Xdp { ifindex: near }),
        }

        let program = load(ProgramType::NETFILTER, Some(AttachType::NETFILTER), 1, "nwt_nf");
        match Link::create(&program, LinkTarget::Netfilter { family: 2, hook: 1, priority: -50 }) {
            Err(error) => refused(&error),
            Ok(link) => {
                let at = LinkAt::Netfilter { family: 2, hook: 1, priority: -50, flags: 0 };
                assert_eq!(link.info().unwrap().at, at);
            }
        }

        let namespace = crate::netns::NetnsRef::Current.open().unwrap();
        let attach = AttachType::SK_LOOKUP;
        let program = load(ProgramType::SK_LOOKUP, Some(attach), 1, "nwt_lookup");
        let link =
            Link::create(&program, LinkTarget::Netns { namespace: namespace.as_fd(), attach }).unwrap();
        let inode = namespace.id().inode as u32;
        assert_eq!(link.info().unwrap().at, LinkAt::Netns { inode, attach });
        let there = query(QueryTarget::Netns(namespace.as_fd()), attach, false).unwrap();
        assert_eq!(there.programs.len(), 1);
    }) else {
        return;
    };
}

#[test]
fn every_point_of_a_control_group_can_be_asked() {
    if !able() {
        return;
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let Some(path) =
        mounts.lines().filter(|line| line.contains(" - cgroup2 ")).find_map(|line| line.split(' ').nth(4))
    else {
        println!("skipped: no version 2 control groups are mounted");
        return;
    };
    let directory = std::fs::File::open(path).unwrap();
    let mut known = 0;
    for &attach in AttachType::CGROUP {
        match query(QueryTarget::Cgroup(directory.as_fd()), attach, true) {
            Ok(_) => known += 1,
            Err(error) => assert_eq!(error.errno, Errno::EINVAL, "{attach}: {error}"),
        }
    }
    assert!(known >= 20, "{known}");
    // One's own program in a group of one's own is found there.
    let group = format!("{path}/nwt-{}", std::process::id());
    if let Err(error) = std::fs::create_dir(&group) {
        println!("the rest skipped: no control group can be made here ({error})");
        return;
    }
    let own = std::fs::File::open(&group).unwrap();
    let attach = AttachType::CGROUP_INET_EGRESS;
    let program = load(ProgramType::CGROUP_SKB, Some(attach), 1, "nwt_cg");
    let link = Link::create(&program, LinkTarget::Cgroup { directory: own.as_fd(), attach });
    let there = query(QueryTarget::Cgroup(own.as_fd()), attach, false);
    let at = link.as_ref().map(|link| link.info().unwrap().at).map_err(Clone::clone);
    drop(link);
    drop(own);
    std::fs::remove_dir(&group).unwrap();
    assert_eq!(there.unwrap().programs.len(), 1);
    assert!(matches!(at, Ok(LinkAt::Cgroup { attach: found, .. }) if found == attach));
}

#[test]
fn a_raw_tracepoint_link_tells_its_name() {
    if !able() {
        return;
    }
    let program = load(ProgramType::RAW_TRACEPOINT, None, 0, "nwt_rawtp");
    let link = Link::raw_tracepoint(&program, Some("kfree_skb")).unwrap();
    assert_eq!(link.info().unwrap().at, LinkAt::RawTracepoint { name: "kfree_skb".into() });
    let error = Link::raw_tracepoint(&program, Some("no_such_tracepoint")).unwrap_err();
    assert_eq!((error.object.as_str(), error.errno), ("no_such_tracepoint", Errno::ENOENT));
}

#[test]
fn run_statistics_count_while_they_are_on() {
    if !able() {
        return;
    }
    let program = load(ProgramType::SOCKET_FILTER, None, 0, "nwt_runs");
    let (near, far) = std::os::unix::net::UnixDatagram::pair().unwrap();
    use std::os::fd::AsRawFd;
    const SO_ATTACH_BPF: i32 = 50;
    crate::fd::set_int(far.as_fd(), libc::SOL_SOCKET, SO_ATTACH_BPF, program.as_fd().as_raw_fd(), "")
        .unwrap();
    let on = enable_run_statistics().unwrap();
    // The filter keeps nothing, so the write succeeds or not as the kernel likes: it ran in any case.
    let _ = near.send(b"x");
    drop(on);
    let info = program.info().unwrap();
    assert!(info.runs >= 1, "{info:?}");
}

/// The number of the kernel's type with this name and BTF kind (uapi `linux/btf.h`).
fn btf_id(name: &str, wanted: u32) -> Option<u32> {
    let data = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
    let word = |at: usize| Some(u32::from_ne_bytes(*data.get(at..)?.first_chunk()?));
    let header = word(4)? as usize;
    let (types, length) = (header + word(8)? as usize, word(12)? as usize);
    let strings = header + word(16)? as usize;
    let (mut at, mut id) = (types, 1);
    while at < types + length {
        let (start, info) = (strings + word(at)? as usize, word(at + 4)?);
        let (kind, members) = (info >> 24 & 31, (info & 0xffff) as usize);
        if kind == wanted && data.get(start..)?.starts_with(format!("{name}\0").as_bytes()) {
            return Some(id);
        }
        at += 12
            + match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * members,
                6 | 13 => 8 * members,
                _ => 0,
            };
        id += 1;
    }
    None
}

#[test]
fn an_iterator_goes_over_its_objects() {
    const FUNCTION: u32 = 12;
    if !able() {
        return;
    }
    let Some(attach_btf_id) = btf_id("bpf_iter_bpf_map", FUNCTION) else {
        println!("skipped: this kernel has no type information, or not of iterators");
        return;
    };
    let attach = Some(AttachType::TRACE_ITER);
    let instructions = returns(0);
    let spec = ProgramSpec { attach, attach_btf_id, ..ProgramSpec::new(ProgramType::TRACING, &instructions) };
    let program = Program::load(&spec).unwrap();
    assert_eq!(program.info().unwrap().attach_btf_id, attach_btf_id);
    let link = Link::create(&program, LinkTarget::Iter { map: None }).unwrap();
    assert_eq!(link.info().unwrap().at, LinkAt::Iter { target: "bpf_map".into() });
    let mut wrote = Vec::new();
    std::io::Read::read_to_end(&mut link.iterate().unwrap(), &mut wrote).unwrap();
    assert!(wrote.is_empty(), "this one writes nothing");
}

#[test]
fn a_typed_tracepoint_is_linked_both_ways() {
    const TYPEDEF: u32 = 8;
    if !able() {
        return;
    }
    let Some(attach_btf_id) = btf_id("btf_trace_kfree_skb", TYPEDEF) else {
        println!("skipped: this kernel has no type information, or not of this tracepoint");
        return;
    };
    let attach = AttachType::TRACE_RAW_TP;
    let instructions = returns(0);
    let spec = ProgramSpec {
        attach: Some(attach),
        attach_btf_id,
        ..ProgramSpec::new(ProgramType::TRACING, &instructions)
    };
    let program = Program::load(&spec).unwrap();
    // The kernel makes the same kind of link of both.
    let at = LinkAt::RawTracepoint { name: "kfree_skb".into() };
    let first = Link::raw_tracepoint(&program, None).unwrap();
    assert_eq!(first.info().unwrap().at, at);
    drop(first);
    let second = Link::create(&program, LinkTarget::Tracing { attach, cookie: 0 }).unwrap();
    assert_eq!(second.info().unwrap().at, at);
}
