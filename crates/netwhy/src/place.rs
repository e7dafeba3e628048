//! Where a question is asked: in this namespace, in another one, or in a container's.

use std::path::Path;

use netwhy_causes::within::Within;
use netwhy_collect::{Scope, container};
use netwhy_sys::netns::{self, NetnsRef};

use crate::cli::{Global, Usage};

/// The place the global options name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which namespace and which files.
    pub(crate) scope: Scope,
    /// How the user named it; `None` for where netwhy was started.
    pub(crate) name: Option<String>,
}

impl Place {
    /// A container brings its namespace, its `/etc`, and its first process as the one who asks.
    pub(crate) fn of(global: &Global) -> anyhow::Result<Self> {
        if let Some(word) = &global.container {
            let found = container::find(word, Path::new("/proc"), Path::new("/"))
                .map_err(|error| Usage(format!("--container: {error}")))?;
            let root = found.root(Path::new("/proc"));
            let scope =
                Scope { netns: NetnsRef::Pid(found.pid), root, pid: Some(found.pid), ..Scope::default() };
            return Ok(Place { scope, name: Some(word.clone()) });
        }
        let scope = match &global.netns {
            Some(word) => Scope::of(NetnsRef::parse(word)),
            None => Scope::here(),
        };
        Ok(Place { scope, name: global.netns.clone() })
    }

    /// How the commands of an answer get there; `None` where netwhy was started.
    pub(crate) fn within(&self) -> Option<Within> {
        match &self.scope.netns {
            NetnsRef::Current => None,
            NetnsRef::Name(name) => Some(Within::name(name)),
            NetnsRef::Pid(pid) => Some(match (self.scope.pid, &self.name) {
                (Some(_), Some(name)) => Within::container(*pid, name),
                _ => Within::pid(*pid),
            }),
            NetnsRef::Path(path) => Some(Within::path(&path.to_string_lossy())),
        }
    }

    /// Runs `work` inside the network namespace; only that one is entered.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        match &self.scope.netns {
            NetnsRef::Current => Ok(work()),
            netns => netns::in_netns(netns, work).map_err(|error| {
                Usage(format!("network namespace of {:?}: {error}", self.name.as_deref().unwrap_or("?")))
                    .into()
            }),
        }
    }
}
