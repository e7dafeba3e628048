//! Makes the recordings the decoders' unit tests read: `cargo test --test nf record -- --ignored`.

use std::fmt::Write;
use std::path::Path;

use netwhy_sys::netlink::{Protocol, Socket};

/// A recording being made.
pub(crate) struct Recording {
    name: &'static str,
    text: String,
}

impl Recording {
    pub(crate) fn new(name: &'static str, what: &str) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let version = release.trim().split('-').next().unwrap().to_owned();
        Recording { name, text: format!("# {what}, kernel {version}. Made by tests/nf/record.rs.\n") }
    }

    pub(crate) fn add(&mut self, kind: &str, bytes: &[u8]) {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = writeln!(self.text, "{kind} {hex}");
    }

    /// Adds every answer to a dump request.
    pub(crate) fn dump(&mut self, kind: &str, protocol: Protocol, message: u16, payload: &[u8]) {
        let mut socket = Socket::open(protocol).unwrap();
        for reply in socket.dump_vec(message, 0, payload).unwrap() {
            self.add(kind, &reply.payload);
        }
    }

    pub(crate) fn save(self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(self.name);
        std::fs::write(&path, self.text).unwrap();
        println!("written: {}", path.display());
    }
}
