//! BPF programs at the hooks a packet or a socket call passes: read only, nothing is loaded or attached.
//!
//! Devices tell of XDP and of traffic-control filters over netlink; tcx, control groups, namespaces and
//! netfilter links are asked with bpf(2).

mod cgroup;
mod netfilter;
mod objects;
mod trial;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};

use netwhy_facts::Reading;
use netwhy_facts::bpf::{BpfAttached, BpfGaps, BpfPrograms};
use netwhy_facts::link::Link;
use netwhy_sys::bpf::{self, AttachType, Attachments, LinkAt, LinkInfo, Object, QueryTarget};
use netwhy_sys::{Errno, SysError};

pub use cgroup::{Mount, cgroup_mount, directories};
pub use netfilter::decode_hook;
pub use objects::{BpfMap, BpfProgram};
pub use trial::TrialPacket;

use crate::collector::{Collector, now, read_text};
use crate::error::CollectError;

/// Descriptors looked at when searching for who holds a program.
const DESCRIPTORS: usize = 200_000;
const NEEDS: &str = "CAP_NET_ADMIN and CAP_SYS_ADMIN";

impl Collector {
    /// The programs on these devices (all with `None`), on the control groups of these processes and all their
    /// ancestors, in the namespace, and at netfilter hooks. Without processes, those of the scope's process.
    ///
    /// `Known` means that every hook was asked, but for the security modules' where the privilege to list links is
    /// missing and those [`Self::bpf_and_gaps`] names. Who holds a program is `NotAsked`: see
    /// [`Self::bpf_holders`].
    pub fn bpf(&self, devices: Option<&[u32]>, processes: &[u32]) -> Reading<BpfPrograms> {
        self.bpf_and_gaps(devices, processes).0
    }

    /// As [`Self::bpf`], with the hooks that could not be asked: control groups that this mount namespace does not
    /// show must not hide what is on the devices.
    pub fn bpf_and_gaps(
        &self,
        devices: Option<&[u32]>,
        processes: &[u32],
    ) -> (Reading<BpfPrograms>, Reading<BpfGaps>) {
        let mut gaps = Vec::new();
        let programs = self.programs(devices, processes, &mut gaps);
        let gaps = match &programs {
            Reading::Known { source, at, .. } => Reading::known(BpfGaps(gaps), source.clone(), *at),
            absent => absent.as_ref().map(|_| BpfGaps::default()),
        };
        (programs, gaps)
    }

    fn programs(
        &self,
        devices: Option<&[u32]>,
        processes: &[u32],
        gaps: &mut Vec<(String, String)>,
    ) -> Reading<BpfPrograms> {
        Self::reading("BPF_PROG_QUERY, IFLA_XDP, RTM_GETTFILTER", NEEDS, || {
            let mut found = Found::new(self, links()?);
            let wanted = |ifindex: u32| devices.is_none_or(|devices| devices.contains(&ifindex));
            let links: Vec<_> = self.link_dump()?.into_iter().filter(|link| wanted(link.index)).collect();
            found.xdp(&links);
            found.filters(devices)?;
            let (on_devices, in_netns) =
                self.inside(|| Ok::<_, CollectError>((on_devices(&links)?, in_netns(self.netns_fd())?)))??;
            for (ifindex, hook, attached) in on_devices {
                found.attachments(hook, &attached, |one| one.ifindex = Some(ifindex));
            }
            for (hook, attached) in in_netns {
                found.attachments(hook, &attached, |_| ());
            }
            if let Err(error) = found.cgroups(processes) {
                gaps.push(("control groups".into(), error.to_string()));
            }
            found.netfilter()?;
            found.security();
            Ok(BpfPrograms(found.programs))
        })
    }

    /// Fills in which processes hold each program or its link open, by going through the descriptors of every
    /// process: slow on a large host, so only when there is somebody to name.
    pub fn bpf_holders(&self, programs: &mut BpfPrograms) {
        if programs.0.is_empty() {
            return;
        }
        let holders = self.holders();
        for program in &mut programs.0 {
            program.holders = holders.as_ref().map(|all| {
                let of = |key: Held| all.get(&key).into_iter().flatten();
                let link = program.link_id.map(Held::Link);
                let mut list: Vec<_> = of(Held::Program(program.prog_id))
                    .chain(link.into_iter().flat_map(of))
                    .cloned()
                    .collect();
                list.sort();
                list.dedup();
                list
            });
        }
    }

    fn holders(&self) -> Reading<BTreeMap<Held, Vec<(u32, String)>>> {
        Self::reading("/proc/PID/fdinfo", "CAP_SYS_PTRACE", || {
            let mut all: BTreeMap<Held, Vec<(u32, String)>> = BTreeMap::new();
            let mut left = DESCRIPTORS;
            let proc = &self.scope().proc;
            let pids = std::fs::read_dir(proc).map_err(|error| CollectError::file(proc, &error))?;
            let pids = pids.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            for pid in pids {
                let dir = self.proc(&pid.to_string());
                let fds = match std::fs::read_dir(dir.join("fd")) {
                    Ok(fds) => fds,
                    // One hidden process may be the holder: then nothing is known.
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                        return Err(CollectError::file(&dir.join("fd"), &error));
                    }
                    // It ended meanwhile.
                    Err(_) => continue,
                };
                for fd in fds.flatten() {
                    left = left.checked_sub(1).ok_or_else(|| {
                        CollectError::malformed(
                            "search for holders",
                            format!("more than {DESCRIPTORS} descriptors"),
                        )
                    })?;
                    let target = std::fs::read_link(fd.path()).unwrap_or_default();
                    let target = target.to_string_lossy();
                    if !target.starts_with("anon_inode:bpf") {
                        continue;
                    }
                    let info = read_text(&dir.join("fdinfo").join(fd.file_name())).unwrap_or_default();
                    let comm = || read_text(&dir.join("comm")).unwrap_or_default().trim_end().to_owned();
                    for held in decode_fdinfo(&info) {
                        all.entry(held).or_default().push((pid, comm()));
                    }
                }
            }
            Ok(all)
        })
    }
}

/// What a descriptor holds open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// A program.
    Program(u32),
    /// A link.
    Link(u32),
}

/// The lines `prog_id:` and `link_id:` of `/proc/PID/fdinfo/FD`. A link shows its program too.
pub fn decode_fdinfo(text: &str) -> Vec<Held> {
    let number = |line: &str, name: &str| line.strip_prefix(name)?.trim().parse().ok();
    text.lines()
        .filter_map(|line| {
            let program = number(line, "prog_id:").map(Held::Program);
            program.or_else(|| number(line, "link_id:").map(Held::Link))
        })
        .collect()
}

/// Every link of the machine; `None` if refused: listing needs more privilege than asking hooks does.
fn links() -> Result<Option<Vec<LinkInfo>>, CollectError> {
    let ids = match bpf::ids(Object::Link) {
        Ok(ids) => ids,
        Err(error) if error.is_denied() => return Ok(None),
        // Before 5.8 there was no list, and hardly a link.
        Err(error) if error.errno == Errno::EINVAL => return Ok(Some(Vec::new())),
        Err(error) => return Err(error.into()),
    };
    let mut links = Vec::with_capacity(ids.len());
    for id in ids {
        match Object::Link.open(id).and_then(|fd| bpf::link_info(fd.as_fd())) {
            Ok(link) => links.push(link),
            // It went away between the two calls.
            // Gone since it was listed, or not quite there yet.
            Err(error) if matches!(error.errno, Errno::ENOENT | Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(links))
}

/// Asks one hook; a kernel that does not know it has nothing there.
fn ask(target: QueryTarget<'_>, attach: AttachType, effective: bool) -> Result<Attachments, SysError> {
    match bpf::query(target, attach, effective) {
        Err(error) if error.errno == Errno::EINVAL || error.is_unsupported() => Ok(Attachments::default()),
        other => other,
    }
}

/// tcx of every device, netkit of those that are; in the devices' namespace.
fn on_devices(links: &[Link]) -> Result<Vec<(u32, &'static str, Attachments)>, CollectError> {
    let mut found = Vec::new();
    for link in links {
        let netkit = link.kind.as_deref() == Some("netkit");
        let hooks = [
            (AttachType::TCX_INGRESS, "tcx-ingress", true),
            (AttachType::TCX_EGRESS, "tcx-egress", true),
            (AttachType::NETKIT_PRIMARY, "netkit-primary", netkit),
            (AttachType::NETKIT_PEER, "netkit-peer", netkit),
        ];
        for (attach, hook, _) in hooks.into_iter().filter(|hook| hook.2) {
            match ask(QueryTarget::Device(link.index), attach, false) {
                Ok(attached) => found.push((link.index, hook, attached)),
                // The device went away since the links were listed.
                Err(error) if error.errno == Errno::ENODEV => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(found)
}

fn in_netns(netns: BorrowedFd<'_>) -> Result<Vec<(&'static str, Attachments)>, CollectError> {
    let hooks = [(AttachType::SK_LOOKUP, "sk-lookup"), (AttachType::FLOW_DISSECTOR, "flow-dissector")];
    hooks
        .into_iter()
        .map(|(attach, hook)| Ok((hook, ask(QueryTarget::Netns(netns), attach, false)?)))
        .collect()
}

/// Collects attachments and looks up what each program is called.
struct Found<'a> {
    collector: &'a Collector,
    links: Option<Vec<LinkInfo>>,
    programs: Vec<BpfAttached>,
    described: BTreeMap<u32, Described>,
    counts_runs: bool,
}

#[derive(Clone)]
struct Described {
    name: String,
    tag: String,
    runs: Reading<u64>,
}

impl<'a> Found<'a> {
    fn new(collector: &'a Collector, links: Option<Vec<LinkInfo>>) -> Self {
        let counts = read_text(&collector.proc("sys/kernel/bpf_stats_enabled"));
        let counts_runs = counts.is_ok_and(|text| text.trim() != "0");
        Found { collector, links, programs: Vec::new(), described: BTreeMap::new(), counts_runs }
    }

    fn describe(&mut self, id: u32) -> Described {
        let counts_runs = self.counts_runs;
        let describe = || match Object::Program.open(id).and_then(|fd| bpf::program_info(fd.as_fd())) {
            Ok(info) => Described {
                name: info.name,
                tag: info.tag.iter().map(|byte| format!("{byte:02x}")).collect(),
                runs: match counts_runs {
                    true => Reading::known(info.runs, "BPF_OBJ_GET_INFO_BY_FD", now()),
                    false => Reading::unsupported("kernel.bpf_stats_enabled is off"),
                },
            },
            // Asking what is attached needs less than looking at it.
            Err(error) => Described {
                name: String::new(),
                tag: String::new(),
                runs: CollectError::from(error).into_reading("CAP_SYS_ADMIN"),
            },
        };
        self.described.entry(id).or_insert_with(describe).clone()
    }

    fn add(&mut self, hook: &str, id: u32, position: u32, more: impl FnOnce(&mut BpfAttached)) {
        let Described { name, tag, runs } = self.describe(id);
        let mut one = BpfAttached {
            hook: hook.to_owned(),
            ifindex: None,
            cgroup: None,
            netfilter: None,
            position,
            prog_id: id,
            name,
            tag,
            link_id: None,
            run_cnt: runs,
            holders: Reading::NotAsked,
        };
        more(&mut one);
        self.programs.push(one);
    }

    fn attachments(&mut self, hook: &str, attached: &Attachments, more: impl Fn(&mut BpfAttached)) {
        for (position, one) in (0..).zip(&attached.programs) {
            self.add(hook, one.program, position, |entry| {
                entry.link_id = one.link;
                more(entry);
            });
        }
    }

    /// The link that holds a program at a place.
    fn link(&self, program: u32, place: impl Fn(&LinkAt) -> bool) -> Option<u32> {
        let links = self.links.as_ref()?;
        links.iter().find(|link| link.program == program && place(&link.at)).map(|link| link.id)
    }

    fn xdp(&mut self, links: &[Link]) {
        for link in links {
            for xdp in &link.xdp {
                let hook = match xdp.mode.as_str() {
                    "native" => "xdp-native",
                    "generic" => "xdp-generic",
                    _ => "xdp-offload",
                };
                let held = self
                    .link(xdp.prog_id, |at| matches!(at, LinkAt::Xdp { ifindex } if *ifindex == link.index));
                self.add(hook, xdp.prog_id, 0, |one| {
                    one.ifindex = Some(link.index);
                    one.link_id = held;
                });
            }
        }
    }

    /// Filters of kind bpf at clsact, in the order they are asked.
    fn filters(&mut self, devices: Option<&[u32]>) -> Result<(), CollectError> {
        let tc = match self.collector.tc(devices) {
            Reading::Known { value, .. } => value,
            Reading::Unsupported { .. } => return Ok(()),
            other => {
                let why = other.absence().map(|absence| absence.to_string()).unwrap_or_default();
                return Err(CollectError::malformed("filters", why));
            }
        };
        for (parent, hook) in [(0xffff_fff2, "tc-ingress"), (0xffff_fff3, "tc-egress")] {
            let mut filters: Vec<_> =
                tc.filters.iter().filter(|filter| filter.parent == parent && filter.bpf.is_some()).collect();
            filters.sort_by_key(|filter| (filter.ifindex, filter.pref));
            let mut last = None;
            let mut position = 0;
            for filter in filters {
                position = if last == Some(filter.ifindex) { position + 1 } else { 0 };
                last = Some(filter.ifindex);
                if let Some((id, _)) = filter.bpf {
                    self.add(hook, id, position, |one| one.ifindex = Some(filter.ifindex));
                }
            }
        }
        Ok(())
    }

    /// Security-module programs, which may refuse a socket call to the whole machine.
    fn security(&mut self) {
        let links = self.links.clone().unwrap_or_default();
        let is_lsm = |at: &LinkAt| matches!(at, LinkAt::Tracing { attach: AttachType::LSM_MAC, .. });
        for (position, link) in (0..).zip(links.iter().filter(|link| is_lsm(&link.at))) {
            self.add("lsm", link.program, position, |one| one.link_id = Some(link.id));
        }
    }
}
