//! # The machine has used up its open files
//!
//! ## What you see
//! Connections hang; unrelated programs fail too, with "Too many open files in system" (ENFILE).
//!
//! ## What happens
//! Every open file of the machine counts against fs.file-max. Once it is reached, accept() and socket() fail with ENFILE
//! for unprivileged processes, whatever their own limit.
//!
//! ## How netwhy knows
//! /proc/sys/fs/file-nr shows as many files allocated as fs.file-max allows, while connections wait for accept(); or the
//! attempt's own socket() failed with ENFILE.
//!
//! ## Look-alikes
//! One process at its own limit (fd-limit-process): EMFILE, and file-nr is far below its maximum.
//!
//! ## What to do
//! Find who leaks (`lsof | awk '{print $1}' | sort | uniq -c | sort -n`), then raise fs.file-max if the load is real.
//!
//! ## References
//! proc(5) file-nr, accept(2) ENFILE; fs/file_table.c (alloc_empty_file).

use netwhy_facts::process::FileTable;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::service;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fd-limit-system",
    title: "the machine has used up its open files",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Host,
    scope: Scope::FailedFlow,
    needs: &["file-table", "sockets", "attempts", "mib", "addresses"],
    explains: &["accept-queue-full", "fd-limit-process"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let enfile = case.errno() == Some("ENFILE");
    let waiting = case.serves_here() && case.listeners().iter().any(|s| service::overflows(s) == Some(true));
    if !enfile && !waiting {
        return Verdict::Silent;
    }
    let Some(table) = case.facts.latest::<FileTable>().value() else { return Verdict::Silent };
    if table.allocated < table.max {
        return Verdict::Silent;
    }
    let raised = table.max.saturating_mul(2);
    Finding::new(
        Locus::Sysctl { name: "fs.file-max".into(), value: table.max.to_string() },
        format!("all {} open files of the machine are in use, so accept() fails with ENFILE", table.max),
    )
    .evidence(
        Evidence::new(
            "file-table",
            format!("{} files are allocated, fs.file-max is {}", table.allocated, table.max),
            "/proc/sys/fs/file-nr",
        )
        .value(serde_json::json!({"allocated": table.allocated, "max": table.max}))
        .command("cat /proc/sys/fs/file-nr"),
    )
    .maybe(case.ev_attempt())
    .maybe(case.ev_counter("TcpExt.ListenOverflows"))
    .fix(
        Fix::run(
            "allow more open files",
            format!("sysctl -w fs.file-max={raised}"),
            format!("sysctl -w fs.file-max={}", table.max),
        )
        .risk("a leak only fills the larger table later"),
    )
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn files(allocated: u64) -> FileTable {
        FileTable { allocated, max: 1000 }
    }

    #[test]
    fn a_full_table_with_a_full_queue_or_enfile_is_proven() {
        let full = || Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, 2, 1)]);
        proven(full().with(files(1000)).judge(&CAUSE));
        proven(Scene::client("203.0.113.2", 80).errno("ENFILE", 0).with(files(1001)).judge(&CAUSE));
        silent(full().with(files(10)).judge(&CAUSE));
    }

    #[test]
    fn a_full_table_that_hinders_nobody_is_innocent() {
        let scene = Scene::inbound("203.0.113.2", 80).sockets(vec![listener("0.0.0.0", 80, 0, 1)]);
        silent(scene.with(files(1000)).judge(&CAUSE));
    }
}
