//! Runs the lab as an ordinary user, in a user namespace, where the kernel allows it.

use std::process::Command;

use netwhy_sys::caps::{self, Capability};
use netwhy_sys::isolate::{Isolation, Kind};

use crate::error::{LabError, Result};

/// Tells the second run that it is the second.
const MARK: &str = "NETWHY_LAB_ROOTLESS";

/// If this process may not make network namespaces, runs the same program with the same arguments as root
/// of a user namespace and returns its exit code. `None`: go on, it may.
pub fn rootless() -> Result<Option<i32>> {
    if caps::effective()?.has(Capability::SysAdmin) {
        return Ok(None);
    }
    let no = |why: &str| {
        let text = format!("the lab needs root or user namespaces, and has neither ({why})");
        LabError::Unsupported(text)
    };
    if std::env::var_os(MARK).is_some() {
        return Err(no("no privilege even inside a user namespace"));
    }
    let exe = std::env::current_exe().map_err(LabError::io("find this program"))?;
    let mut command = Command::new(exe);
    command.args(std::env::args_os().skip(1)).env(MARK, "1");
    let isolation = Isolation::new().new_namespaces(&[Kind::User, Kind::Mount, Kind::Net]);
    let mut child = isolation.spawn(command).map_err(|error| no(&error.to_string()))?;
    let status = child.wait().map_err(LabError::io("wait for the lab"))?;
    Ok(Some(status.code().unwrap_or(125)))
}
