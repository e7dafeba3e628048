//! What a guest's console said, as outcomes; the table of docs/kernels.md; what is held against it.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One kernel's outcomes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcomes {
    /// `uname -r`.
    pub(crate) release: String,
    /// Feature, and `yes`, `no` or `denied`, with why.
    pub(crate) features: BTreeMap<String, String>,
    /// `BINARY: test`, and what came of it.
    pub(crate) tests: BTreeMap<String, Test>,
    /// Binaries that did not come to an end.
    pub(crate) broken: Vec<String>,
    /// Seconds until user space, and until everything was done.
    pub(crate) seconds: (f64, f64),
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// It passed.
    Ok,
    /// It looked at nothing, for want of this feature.
    Skipped(String),
    /// It failed.
    Failed,
}

impl Outcomes {
    /// Reads a console. Sections start with `@@ info` or `@@ test BINARY`; `@@ end CODE` ends one.
    pub(crate) fn read(lines: &[String]) -> Self {
        let mut all = Outcomes::default();
        let mut section = String::new();
        let mut shown = String::new();
        let at = |line: &str| line.rsplit(" at ").next().and_then(|t| t.trim_end_matches('s').parse().ok());
        for line in lines {
            let line = line.trim_end();
            // The firmware leaves its escape sequences before the first line.
            if let Some((_, rest)) = line.split_once("=== guest up ") {
                all.release = rest.split(' ').next().unwrap_or_default().to_owned();
                all.seconds.0 = at(line).unwrap_or(0.0);
            } else if line.starts_with("=== guest done") {
                all.seconds.1 = at(line).unwrap_or(0.0);
            } else if let Some(rest) = line.strip_prefix("@@ end ") {
                let failed = all.tests.iter().any(|(name, test)| {
                    *test == Test::Failed && name.starts_with(section.trim_start_matches("test "))
                });
                if rest != "0" && !failed {
                    all.broken.push(format!("{section} ended with {rest}"));
                }
                section.clear();
            } else if let Some(rest) = line.strip_prefix("@@ ") {
                rest.clone_into(&mut section);
                shown.clear();
            } else if section == "info" {
                if let Some((name, value)) = line.trim().split_once(": ") {
                    all.features.insert(name.to_owned(), value.to_owned());
                }
            } else if let Some(binary) = section.strip_prefix("test ") {
                if let Some((name, result)) =
                    line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
                {
                    let test = if result.starts_with("ok") { Test::Ok } else { Test::Failed };
                    all.tests.insert(format!("{binary}: {name}"), test);
                } else if let Some(name) =
                    line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
                {
                    name.clone_into(&mut shown);
                } else if let Some(rest) = line.strip_prefix("skipped: ") {
                    let feature = rest.split(':').next().unwrap_or(rest).to_owned();
                    if let Some(test @ Test::Ok) = all.tests.get_mut(&format!("{binary}: {shown}")) {
                        *test = Test::Skipped(feature);
                    }
                }
            }
        }
        if !section.is_empty() {
            all.broken.push(format!("{section} did not end"));
        }
        if all.tests.is_empty() {
            all.broken.push("no test ran".to_owned());
        }
        all
    }

    /// Whether a feature works here.
    pub(crate) fn has(&self, feature: &str) -> bool {
        self.features.get(feature).is_some_and(|value| value == "yes" || value.starts_with("yes "))
    }

    /// What is wrong: failures, binaries that did not end, and skips for a feature that is there.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut all = self.broken.clone();
        for (name, test) in &self.tests {
            match test {
                Test::Ok => {}
                Test::Failed => all.push(format!("{name} failed")),
                Test::Skipped(feature) if self.has(feature) || !self.features.contains_key(feature) => {
                    all.push(format!("{name} was skipped for {feature}, which this kernel has"));
                }
                Test::Skipped(_) => {}
            }
        }
        all
    }
}

/// Features that are shown, in order; the other lines of `--info` are about the build.
const FEATURES: [&str; 18] = [
    "tracepoint",
    "rawtracepoint",
    "tp_btf",
    "kprobe",
    "kprobe_multi",
    "fentry",
    "uprobe",
    "uprobe_multi",
    "watchpoint",
    "hardware",
    "iter",
    "perf_link",
    "loop",
    "for_each_map_elem",
    "get_current_task_btf",
    "get_func_ip",
    "get_tai_ns",
    "module btf",
];

fn word(value: Option<&String>) -> &str {
    value.map_or("-", |value| value.split([' ', '(']).next().unwrap_or("-"))
}

/// The text of docs/kernels.md.
pub(crate) fn page(all: &[(String, Outcomes)]) -> String {
    let mut out = String::from(
        "# Kernels\n\nWhat the probe engine attaches on Debian's kernels, and its tests there. Made by `cargo xtask vm`: each kernel is\n\
         booted in QEMU without KVM, the features are what `netwhy probe --info` finds by trying, and a test that is skipped\n\
         for a feature the kernel has fails the run. `ok`: passed; a feature's name: skipped for want of it.\n\n",
    );
    let head: Vec<String> =
        all.iter().map(|(name, outcomes)| format!("{name} ({})", outcomes.release)).collect();
    let _ = writeln!(out, "| feature | {} |\n|---|{}", head.join(" | "), "---|".repeat(all.len()));
    for feature in FEATURES {
        let row: Vec<&str> = all.iter().map(|(_, outcomes)| word(outcomes.features.get(feature))).collect();
        let _ = writeln!(out, "| {feature} | {} |", row.join(" | "));
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let _ = writeln!(out, "\n| test | {} |\n|---|{}", names.join(" | "), "---|".repeat(all.len()));
    let mut tests: Vec<&String> = all.iter().flat_map(|(_, outcomes)| outcomes.tests.keys()).collect();
    tests.sort();
    tests.dedup();
    for test in tests {
        let row: Vec<&str> = all
            .iter()
            .map(|(_, outcomes)| match outcomes.tests.get(test) {
                Some(Test::Ok) => "ok",
                Some(Test::Failed) => "FAILED",
                Some(Test::Skipped(feature)) => feature,
                None => "-",
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", test.replace('_', " "), row.join(" | "));
    }
    out
}

/// Features the page promises for a kernel and that are gone.
pub(crate) fn lost(page: &str, name: &str, outcomes: &Outcomes) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = page.lines().skip_while(|line| !line.starts_with("| feature"));
    let Some(column) = lines
        .next()
        .and_then(|head| cells(head).iter().position(|cell| cell.split(' ').next() == Some(name)))
    else {
        return Vec::new();
    };
    lines
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let cells = cells(line);
            let (feature, value) = (cells.first()?, cells.get(column)?);
            (value == "yes" && !outcomes.has(feature))
                .then(|| format!("{feature} was there and is now {}", word(outcomes.features.get(feature))))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(text: &str) -> Outcomes {
        Outcomes::read(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    const GOOD: &str = "=== guest up 6.1.0 at 2.5s\n@@ info\n  kprobe: yes\n  fentry: no (EPERM)\n@@ end 0\n\
        @@ test attach\ntest a ... ok\ntest b ... ok\n---- b stdout ----\nskipped: fentry: no\n@@ end 0\n=== guest done rc=0 at 9s\n";

    #[test]
    fn outcomes_are_read() {
        let all = console(GOOD);
        assert_eq!((all.release.as_str(), all.seconds), ("6.1.0", (2.5, 9.0)));
        assert_eq!(all.tests.get("attach: b"), Some(&Test::Skipped("fentry".to_owned())));
        assert_eq!(all.complaints(), Vec::<String>::new());
        assert!(page(&[("6.1".to_owned(), all)]).contains("| attach: b | fentry |"));
    }

    #[test]
    fn a_skip_for_something_that_is_there_is_a_failure() {
        let all = console(&GOOD.replace("skipped: fentry", "skipped: kprobe"));
        assert_eq!(all.complaints(), ["attach: b was skipped for kprobe, which this kernel has"]);
    }

    #[test]
    fn failures_crashes_and_silence_are_failures() {
        assert_eq!(
            console(&GOOD.replace("test a ... ok", "test a ... FAILED")).complaints(),
            ["attach: a failed"]
        );
        assert_eq!(console(GOOD.rsplit_once("@@ end").unwrap().0).complaints(), ["test attach did not end"]);
        assert_eq!(console("").complaints(), ["no test ran"]);
    }

    #[test]
    fn a_feature_that_was_promised_is_missed() {
        let all = console(GOOD);
        let old = page(&[("6.1".to_owned(), all)]);
        let now = console(&GOOD.replace("kprobe: yes", "kprobe: no (ENOENT)"));
        assert_eq!(lost(&old, "6.1", &now), ["kprobe was there and is now no"]);
    }
}
