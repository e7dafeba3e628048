//! Containers by name or id: which process stands for one, so that its namespace and its files can be read.
//!
//! No runtime is asked. Ids come from the cgroups of running processes (`/proc/PID/cgroup`), names from the files
//! the runtimes keep: Docker's `config.v2.json`, Podman's and CRI-O's `containers.json`, containerd's bundle
//! (`config.json` with the CRI annotations); LXC, Incus and systemd-nspawn write the name into the cgroup itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::collector::read_text;
use crate::error::CollectError;
use crate::process::{container_of, decode_cgroup};

/// Ids shorter than this fit too many.
const SHORTEST_ID: usize = 4;
/// Names offered when none fits.
const OFFERED: usize = 8;

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its first process, as the host numbers it.
    pub pid: u32,
    /// The runtime's id, or the machine's name for LXC and nspawn.
    pub id: String,
    /// What people call it, where the runtime keeps names.
    pub names: Vec<String>,
}

impl Container {
    /// The root directory whose `etc` and `run` the container sees.
    #[must_use]
    pub fn root(&self, proc: &Path) -> PathBuf {
        proc.join(self.pid.to_string()).join("root")
    }

    fn label(&self) -> String {
        let id: String = self.id.chars().take(12).collect();
        match self.names.first() {
            Some(name) => format!("{name} ({id})"),
            None => id,
        }
    }
}

/// The one running container that goes by a name, an id, or the beginning of an id. `proc` is where procfs is
/// mounted, `root` where the runtimes' files are (`/`). None or several is an error that names what runs.
pub fn find(word: &str, proc: &Path, root: &Path) -> Result<Container, CollectError> {
    let running = running(proc, root)?;
    let by_name: Vec<&Container> =
        running.iter().filter(|one| one.names.iter().any(|name| name == word) || one.id == word).collect();
    let by_id = || -> Vec<&Container> {
        let is_id = word.len() >= SHORTEST_ID && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        running.iter().filter(|one| is_id && one.id.starts_with(word)).collect()
    };
    let found = if by_name.is_empty() { by_id() } else { by_name };
    let labels = |all: &[&Container]| {
        let some: Vec<String> = all.iter().take(OFFERED).map(|one| one.label()).collect();
        let more = all.len().saturating_sub(OFFERED);
        some.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    match found[..] {
        [one] => Ok(one.clone()),
        [] if running.is_empty() => Err(CollectError::Missing(format!(
            "no container is called {word:?}: no process here belongs to one that netwhy knows"
        ))),
        [] => {
            let all: Vec<&Container> = running.iter().collect();
            Err(CollectError::Missing(format!(
                "no running container is called {word:?}; there are {}",
                labels(&all)
            )))
        }
        _ => Err(CollectError::Missing(format!("{word:?} fits several containers: {}", labels(&found)))),
    }
}

/// Every container with a process, ordered by id.
fn running(proc: &Path, root: &Path) -> Result<Vec<Container>, CollectError> {
    let mut first: BTreeMap<String, (bool, u32)> = BTreeMap::new();
    let entries = std::fs::read_dir(proc).map_err(|error| CollectError::file(proc, &error))?;
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Processes end while they are listed; others are hidden.
        let Ok(text) = read_text(&entry.path().join("cgroup")) else { continue };
        let Some(id) = owner(&decode_cgroup(&text)) else { continue };
        // The one that is 1 inside is the first; where none is, the lowest number, but for a wrap of the numbers.
        let is_other = !read_text(&entry.path().join("status")).is_ok_and(|status| is_first_inside(&status));
        let slot = first.entry(id).or_insert((is_other, pid));
        *slot = (is_other, pid).min(*slot);
    }
    let mut names = names(root);
    Ok(first
        .into_iter()
        .map(|(id, (_, pid))| Container { pid, names: names.remove(&id).unwrap_or_default(), id })
        .collect())
}

/// What a cgroup belongs to: a container's id, or the name of an LXC or nspawn machine.
fn owner(cgroup: &str) -> Option<String> {
    let machine = cgroup.split('/').find_map(|part| {
        part.strip_prefix("lxc.payload.")
            .or_else(|| part.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope")))
            .or_else(|| part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")))
    });
    let old_lxc = || cgroup.strip_prefix("/lxc/").and_then(|rest| rest.split('/').next());
    container_of(cgroup).or_else(|| machine.map(unescape)).or_else(|| old_lxc().map(str::to_owned))
}

/// systemd writes `-` in a name as `\x2d`.
fn unescape(name: &str) -> String {
    name.replace("\\x2d", "-")
}

/// Whether `NSpid:` ends with 1: the process is the first of its own namespace.
fn is_first_inside(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.is_some_and(|numbers| {
        let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
        numbers.len() > 1 && numbers.last() == Some(&"1")
    })
}

/// Names by id, from every runtime that keeps some. A file that cannot be read or parsed gives none: the id
/// still works.
fn names(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |id: &str, name: String| {
        let names = out.entry(id.to_owned()).or_default();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    for (directory, id) in children(&root.join("var/lib/docker/containers")) {
        if let Some(config) = json(&directory.join("config.v2.json"))
            && let Some(name) = config["Name"].as_str()
        {
            add(&id, name.trim_start_matches('/').to_owned());
        }
    }
    for file in ["containers.json", "volatile-containers.json"] {
        for store in ["var/lib/containers/storage", "run/containers/storage"] {
            let list = json(&root.join(store).join("overlay-containers").join(file));
            for one in list.as_ref().and_then(Value::as_array).into_iter().flatten() {
                for name in one["names"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    add(one["id"].as_str().unwrap_or_default(), name.to_owned());
                }
            }
        }
    }
    for (namespace, _) in children(&root.join("run/containerd/io.containerd.runtime.v2.task")) {
        for (bundle, id) in children(&namespace) {
            let Some(config) = json(&bundle.join("config.json")) else { continue };
            let note = |key: &str| config["annotations"][key].as_str().unwrap_or_default();
            let (pod, container) =
                (note("io.kubernetes.cri.sandbox-name"), note("io.kubernetes.cri.container-name"));
            if !pod.is_empty() && !container.is_empty() {
                add(&id, format!("{pod}/{container}"));
            }
            add(&id, container.to_owned());
            add(&id, note("nerdctl/name").to_owned());
        }
    }
    out
}

fn children(directory: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned())).collect()
}

fn json(file: &Path) -> Option<Value> {
    serde_json::from_str(&read_text(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const WEB: &str = "4c01db0b339c7c2b0f9b6ec8f2a9f1b83cbb3f2a0e0f5a0b6a6a0d4f5e6d7c8b";
    const DB: &str = "4c0fffffb339c7c2b0f9b6ec8f2a9f1b83cbb3f2a0e0f5a0b6a6a0d4f5e6d7c8";

    struct Tree(PathBuf);

    impl Tree {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("netwhy-container-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            Tree(std::env::temp_dir().join(name))
        }

        fn file(&self, path: &str, text: &str) -> &Self {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            self
        }

        fn process(&self, pid: u32, cgroup: &str, nspid: &str) -> &Self {
            self.file(&format!("proc/{pid}/cgroup"), &format!("0::{cgroup}\n"))
                .file(&format!("proc/{pid}/status"), &format!("Name:\tx\nNSpid:\t{nspid}\n"))
        }

        fn find(&self, word: &str) -> Result<Container, String> {
            find(word, &self.0.join("proc"), &self.0).map_err(|error| error.to_string())
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn two() -> Tree {
        let tree = Tree::new();
        tree.process(1, "/init.scope", "1")
            .process(90, &format!("/system.slice/docker-{WEB}.scope"), "90 7")
            .process(400, &format!("/system.slice/docker-{WEB}.scope"), "400 1")
            .process(500, &format!("/machine.slice/libpod-{DB}.scope/container"), "500 1")
            .file(&format!("var/lib/docker/containers/{WEB}/config.v2.json"), r#"{"Name":"/web","State":{}}"#)
            .file(
                "var/lib/containers/storage/overlay-containers/containers.json",
                &format!(r#"[{{"id":"{DB}","names":["db"]}}]"#),
            );
        tree
    }

    #[test]
    fn a_container_is_found_by_name_and_by_the_beginning_of_its_id() {
        let tree = two();
        let web = tree.find("web").unwrap();
        assert_eq!((web.pid, web.id.as_str()), (400, WEB), "the process that is 1 inside stands for it");
        assert_eq!(tree.find("4c01").unwrap(), web);
        assert_eq!(tree.find("db").unwrap().pid, 500);
        assert!(web.root(&tree.0.join("proc")).ends_with("proc/400/root"));
    }

    #[test]
    fn none_and_several_are_errors_that_name_what_runs() {
        let tree = two();
        let error = tree.find("wbe").unwrap_err();
        assert!(error.contains("web (4c01db0b339c)") && error.contains("db (4c0fffffb339)"), "{error}");
        let error = tree.find("4c0").unwrap_err();
        assert!(error.contains("no running container"), "three digits are no id: {error}");
        tree.process(600, &format!("/docker/{}", WEB.replace("4c01db", "4c01ee")), "600 1");
        assert!(tree.find("4c01").unwrap_err().contains("fits several"));
        assert!(
            Tree::new().file("proc/1/cgroup", "0::/\n").find("web").unwrap_err().contains("no process here")
        );
    }

    #[test]
    fn machines_are_named_by_their_cgroup_and_pods_by_their_annotations() {
        let tree = Tree::new();
        let id = WEB.replace("4c01", "aaaa");
        tree.process(7, "/lxc.payload.old/system.slice", "7 1")
            .process(8, r"/machine.slice/machine-a\x2db.scope/payload", "8 1")
            .process(9, &format!("/kubepods.slice/cri-containerd-{id}.scope"), "9 1")
            .file(
                &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json"),
                r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"shop-1","io.kubernetes.cri.container-name":"app"}}"#,
            );
        assert_eq!(tree.find("old").unwrap().pid, 7);
        assert_eq!(tree.find("a-b").unwrap().pid, 8);
        assert_eq!(tree.find("shop-1/app").unwrap().pid, 9);
        assert_eq!(tree.find("app").unwrap().pid, 9);
    }

    #[test]
    fn a_runtime_file_that_does_not_parse_costs_the_name_and_not_the_id() {
        let tree = two();
        tree.file(&format!("var/lib/docker/containers/{WEB}/config.v2.json"), "{not json");
        assert!(tree.find("web").is_err());
        assert_eq!(tree.find("4c01db").unwrap().pid, 400);
    }
}
