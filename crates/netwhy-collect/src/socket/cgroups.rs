//! Names of control groups by the id that sockets carry: the inode of the group's directory (version 2).

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::collector::Collector;
use crate::error::CollectError;

/// Groups read at most.
const MOST: usize = 1 << 16;

/// Paths of the mounted hierarchy by id.
#[derive(Debug, Default)]
pub struct Cgroups(HashMap<u64, String>);

impl Cgroups {
    /// The path of a group below the mount, `/` for its root.
    #[must_use]
    pub fn path(&self, id: u64) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }
}

impl Collector {
    /// Every group of the mounted hierarchy; `None` if it is not mounted.
    pub fn cgroup_names(&self) -> Option<Cgroups> {
        let mount = self.cgroup_root()?;
        let mut found = HashMap::new();
        walk(&mount.point, "/", &mut found);
        Some(Cgroups(found))
    }

    /// The id of a group by its path below the mount.
    pub fn cgroup_id(&self, path: &str) -> Result<u64, CollectError> {
        let mount =
            self.cgroup_root().ok_or_else(|| CollectError::Missing("Failed to find cgroup2 mount".into()))?;
        let full = mount.point.join(path.trim_start_matches('/'));
        let metadata = std::fs::metadata(&full).map_err(|error| CollectError::file(&full, &error))?;
        Ok(metadata.ino())
    }
}

fn walk(directory: &Path, name: &str, found: &mut HashMap<u64, String>) {
    let Ok(metadata) = std::fs::metadata(directory) else { return };
    found.insert(metadata.ino(), name.to_owned());
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if found.len() < MOST && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let own = entry.file_name().to_string_lossy().into_owned();
            walk(&entry.path(), &format!("{}/{own}", name.trim_end_matches('/')), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_the_inode_of_their_directory() {
        let root = std::env::temp_dir().join(format!("netwhy-cgroups-{}", std::process::id()));
        std::fs::create_dir_all(root.join("system.slice/x.service")).unwrap();
        let mut found = HashMap::new();
        walk(&root, "/", &mut found);
        let id = std::fs::metadata(root.join("system.slice/x.service")).unwrap().ino();
        let groups = Cgroups(found);
        assert_eq!(groups.path(id), Some("/system.slice/x.service"));
        assert_eq!(groups.path(std::fs::metadata(&root).unwrap().ino()), Some("/"));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
