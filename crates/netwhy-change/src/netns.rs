//! Named network namespaces: files below `/run/netns` that hold a namespace by a mount (as `ip netns` does, see
//! ip-netns(8)).

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use netwhy_sys::mount::{self, Mount};
use netwhy_sys::netns;

use crate::{ChangeError, Result};

/// Where names live.
pub const DIRECTORY: &str = "/run/netns";

/// The file of a name. A name with a slash is none.
pub fn path(name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") || name.len() > 255 {
        return Err(ChangeError::Usage(format!("Invalid netns name \"{name}\"")));
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// The directory as a mount that every mount namespace shares, so that a name made here is seen there, and one
/// removed there is gone here.
fn prepare() -> Result<()> {
    let directory = Path::new(DIRECTORY);
    if !directory.exists() {
        fs::create_dir_all(directory).map_err(failed("create", directory))?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
            .map_err(failed("create", directory))?;
    }
    if Mount::make_shared(directory)?.apply().is_err() {
        // Not a mount yet.
        Mount::bind_all(directory, directory)?.apply()?;
        Mount::make_shared(directory)?.apply()?;
    }
    Ok(())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ChangeError {
    let path = path.display().to_string();
    move |error| ChangeError::File { what, path, errno: netwhy_sys::Errno::from(&error) }
}

/// The empty file a namespace is mounted on. Fails if the name is taken.
fn create(name: &str) -> Result<PathBuf> {
    let path = path(name)?;
    prepare()?;
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o444);
    options.open(&path).map_err(failed("create", &path))?;
    Ok(path)
}

/// Makes a new namespace with a name.
pub fn add(name: &str) -> Result<()> {
    let path = create(name)?;
    let made = netns::in_new_netns(|| {
        Ok::<_, ChangeError>(Mount::bind(Path::new("/proc/thread-self/ns/net"), &path)?.apply()?)
    });
    made.map_err(ChangeError::from).and_then(|mounted| mounted).inspect_err(|_| {
        let _ = fs::remove_file(&path);
    })
}

/// Gives the namespace of a process a name.
pub fn attach(name: &str, pid: u32) -> Result<()> {
    let source = PathBuf::from(format!("/proc/{pid}/ns/net"));
    if !source.exists() {
        return Err(ChangeError::File {
            what: "open",
            path: source.display().to_string(),
            errno: netwhy_sys::Errno::from_name("ENOENT").unwrap_or(netwhy_sys::Errno::new(2)),
        });
    }
    let path = create(name)?;
    let mounted = Mount::bind(&source, &path).and_then(|mount| mount.apply());
    mounted.map_err(ChangeError::from).inspect_err(|_| {
        let _ = fs::remove_file(&path);
    })
}

/// Takes a name away. The namespace goes when nothing is in it any more.
pub fn delete(name: &str) -> Result<()> {
    let path = path(name)?;
    // A name without a mount is removed as well.
    let _ = mount::unmount(&path);
    fs::remove_file(&path).map_err(failed("remove", &path))
}
