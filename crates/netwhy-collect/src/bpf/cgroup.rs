//! Programs on control groups: which directories, which hooks.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use netwhy_sys::Errno;
use netwhy_sys::bpf::{AttachType, Attachments, LinkAt, QueryTarget};

use super::{Found, ask};
use crate::collector::{Collector, read_text};
use crate::error::CollectError;

/// Every hook of a control group that a socket call or a packet passes.
const HOOKS: &[(AttachType, &str)] = &[
    (AttachType::CGROUP_INET_INGRESS, "cgroup-ingress"),
    (AttachType::CGROUP_INET_EGRESS, "cgroup-egress"),
    (AttachType::CGROUP_INET_SOCK_CREATE, "cgroup-sock-create"),
    (AttachType::CGROUP_INET_SOCK_RELEASE, "cgroup-sock-release"),
    (AttachType::CGROUP_INET4_BIND, "cgroup-bind4"),
    (AttachType::CGROUP_INET6_BIND, "cgroup-bind6"),
    (AttachType::CGROUP_INET4_POST_BIND, "cgroup-post-bind4"),
    (AttachType::CGROUP_INET6_POST_BIND, "cgroup-post-bind6"),
    (AttachType::CGROUP_INET4_CONNECT, "cgroup-connect4"),
    (AttachType::CGROUP_INET6_CONNECT, "cgroup-connect6"),
    (AttachType::CGROUP_UDP4_SENDMSG, "cgroup-sendmsg4"),
    (AttachType::CGROUP_UDP6_SENDMSG, "cgroup-sendmsg6"),
    (AttachType::CGROUP_UDP4_RECVMSG, "cgroup-recvmsg4"),
    (AttachType::CGROUP_UDP6_RECVMSG, "cgroup-recvmsg6"),
    (AttachType::CGROUP_INET4_GETPEERNAME, "cgroup-getpeername4"),
    (AttachType::CGROUP_INET6_GETPEERNAME, "cgroup-getpeername6"),
    (AttachType::CGROUP_INET4_GETSOCKNAME, "cgroup-getsockname4"),
    (AttachType::CGROUP_INET6_GETSOCKNAME, "cgroup-getsockname6"),
    (AttachType::CGROUP_GETSOCKOPT, "cgroup-getsockopt"),
    (AttachType::CGROUP_SETSOCKOPT, "cgroup-setsockopt"),
    (AttachType::CGROUP_SOCK_OPS, "sock-ops"),
];

/// Where the version 2 hierarchy is mounted, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount point.
    pub point: PathBuf,
    /// The directory of the hierarchy that is there: `/` for all of it.
    pub root: String,
}

/// The first mount of cgroup2 in `/proc/PID/mountinfo` (proc(5): root is field 4, mount point 5, the type
/// follows a lone dash), spaces and their like written in octal.
#[must_use]
pub fn cgroup_mount(mountinfo: &str) -> Option<Mount> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut words = before.split(' ').skip(3);
        let root = unescape(words.next()?);
        Some(Mount { root, point: unescape(words.next()?).into() })
    })
}

fn unescape(word: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(word.to_owned(), |word, (code, text)| word.replace(code, text))
}

/// The directories of a control group and all its ancestors that the mount shows, the group itself first, each
/// with its path in the hierarchy. `None` if the group is outside what is mounted.
#[must_use]
pub fn directories(mount: &Mount, group: &str) -> Option<Vec<(String, PathBuf)>> {
    // A group beyond the reader's cgroup namespace is written with leading `..`.
    if group.split('/').any(|part| part == "..") {
        return None;
    }
    let root = mount.root.trim_end_matches('/');
    let inner = group.strip_prefix(root)?;
    if !inner.is_empty() && !inner.starts_with('/') {
        return None;
    }
    let inner = inner.trim_matches('/');
    let mut all = Vec::new();
    let mut rest = inner;
    loop {
        let path = format!("{root}/{rest}");
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        all.push((path, mount.point.join(rest)));
        if rest.is_empty() {
            return Some(all);
        }
        rest = rest.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

impl Collector {
    /// The mount, seen from here or, where a private `/sys` hides it (as below `ip netns exec`), from process 1.
    pub(crate) fn cgroup_root(&self) -> Option<Mount> {
        let here = read_text(&self.proc("thread-self/mountinfo")).ok().as_deref().and_then(cgroup_mount);
        if let Some(mount) = here.filter(|mount| mount.point.is_dir()) {
            return Some(mount);
        }
        let first = read_text(&self.proc("1/mountinfo")).ok().as_deref().and_then(cgroup_mount)?;
        let inside = first.point.strip_prefix("/").ok()?.to_owned();
        let point = self.proc("1/root").join(inside);
        point.is_dir().then_some(Mount { point, ..first })
    }
}

impl Found<'_> {
    /// The programs in effect for these processes, each named with the group it is attached to.
    pub(super) fn cgroups(&mut self, processes: &[u32]) -> Result<(), CollectError> {
        let collector = self.collector;
        let default = [collector.scope().pid.unwrap_or_else(std::process::id)];
        let processes = if processes.is_empty() { &default[..] } else { processes };
        let mut seen = Vec::new();
        for pid in processes {
            let text = match read_text(&collector.proc(&format!("{pid}/cgroup"))) {
                Ok(text) => text,
                // It ended meanwhile.
                Err(error) if error.errno().is_some_and(|e| e == Errno::ENOENT || e == Errno::ESRCH) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Without the version 2 hierarchy there is nothing to attach to.
            let Some(group) = text.lines().find_map(|line| line.strip_prefix("0::")) else { continue };
            // A removed group is shown with this suffix and keeps its programs, out of reach.
            let group = group.strip_suffix(" (deleted)").unwrap_or(group).to_owned();
            if !seen.contains(&group) {
                self.cgroup(&group)?;
                seen.push(group);
            }
        }
        Ok(())
    }

    fn cgroup(&mut self, group: &str) -> Result<(), CollectError> {
        let hidden = || CollectError::Missing(format!("control group {group} is not visible from here"));
        let mount = self.collector.cgroup_root().ok_or_else(hidden)?;
        let directories = directories(&mount, group).ok_or_else(hidden)?;
        let open = |path: &Path| File::open(path).map_err(|error| CollectError::file(path, &error));
        let Some((_, own)) = directories.first() else { return Ok(()) };
        let own = open(own)?;
        for (attach, hook) in HOOKS {
            let effective = ask(QueryTarget::Cgroup(own.as_fd()), *attach, true)?;
            if effective.programs.is_empty() {
                continue;
            }
            let mut attached: Vec<(String, Attachments, Option<u64>)> = Vec::new();
            for (path, directory) in &directories {
                let file = open(directory)?;
                let id = file.metadata().ok().map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata));
                attached.push((path.clone(), ask(QueryTarget::Cgroup(file.as_fd()), *attach, false)?, id));
            }
            for (position, one) in (0..).zip(&effective.programs) {
                // The nearest group that has it: the same program may be attached to several.
                let holds = |list: &Attachments| list.programs.iter().any(|p| p.program == one.program);
                let place = attached.iter().find(|(_, list, _)| holds(list));
                let id = place.and_then(|(_, _, id)| *id);
                let link = self.link(one.program, |at| {
                    matches!(at, LinkAt::Cgroup { id: at, attach: by } if Some(*at) == id && by == attach)
                });
                self.add(hook, one.program, position, |entry| {
                    entry.cgroup = Some(place.map_or_else(|| group.to_owned(), |(path, ..)| path.clone()));
                    entry.link_id = link;
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_among_others() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                    41 31 0:38 /docker/ab /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n";
        let mount = cgroup_mount(text).unwrap();
        assert_eq!(
            (mount.point.to_str().unwrap(), mount.root.as_str()),
            ("/sys/fs/cgroup/uni fied", "/docker/ab")
        );
        assert_eq!(cgroup_mount("garbage\n - cgroup2\n1 2 3 - cgroup2 x"), None);
    }

    #[test]
    fn ancestors_end_at_the_mounts_root() {
        let mount = |root: &str| Mount { point: "/cg".into(), root: root.into() };
        let list = |root: &str, group: &str| {
            directories(&mount(root), group).map(|all| {
                all.into_iter().map(|(path, dir)| format!("{path} {}", dir.display())).collect::<Vec<_>>()
            })
        };
        assert_eq!(list("/", "/"), Some(vec!["/ /cg/".into()]));
        assert_eq!(list("/", "/a/b"), Some(vec!["/a/b /cg/a/b".into(), "/a /cg/a".into(), "/ /cg/".into()]));
        assert_eq!(list("/a", "/a/b"), Some(vec!["/a/b /cg/b".into(), "/a /cg/".into()]));
        assert_eq!(list("/a", "/ab"), None);
        assert_eq!(list("/", "/../x"), None);
    }
}
