//! What can be observed, and what of it is available here: lists of families and of features.

use netwhy_facts::Reading;
use serde::Serialize;

use crate::text::TextOptions;
use crate::text::page::{Page, Style};

/// How a family of facts comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Read from the kernel.
    Kernel,
    /// Read from the kernel for one flow.
    Flow,
    /// Observed while a question is asked.
    Question,
}

/// A family of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Family {
    /// Its name for `netwhy facts`.
    pub name: &'static str,
    /// How it comes about.
    pub door: Door,
    /// What it holds.
    pub what: &'static str,
}

/// The families, grouped by how they come about.
pub fn family_list(families: &[Family], options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    for (door, title) in [
        (Door::Kernel, "read from the kernel: netwhy facts FAMILY"),
        (Door::Flow, "read for one flow: netwhy facts FAMILY --about ADDRESS:PORT"),
        (Door::Question, "observed while a question is asked: netwhy connect TARGET --record FILE"),
    ] {
        page.gap();
        page.heading(title, "");
        for f in families.iter().filter(|f| f.door == door) {
            page.column(22, &format!("  {}", f.name), Style::Plain, f.what, Style::Plain);
        }
    }
    page.finish()
}

/// Whether something is available: three outcomes, because a failed try is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Available {
    /// Tried, and it works.
    Yes,
    /// Tried, and it is refused or does not exist here.
    No,
    /// It could not be told.
    Unknown,
}

/// One family or feature, as tried just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// `family` or `feature`.
    pub kind: &'static str,
    /// What it is good for.
    pub what: String,
    /// Whether it works now.
    pub available: Available,
    /// The privilege that would add it; empty when none would.
    pub needs: String,
    /// Where it comes from, or why it is not available.
    pub why: String,
}

impl Capability {
    /// What a try that gave a reading says. `NotAsked` means nobody tried.
    pub fn of<T>(name: &str, kind: &'static str, what: &str, reading: &Reading<T>) -> Self {
        let (available, needs, why) = match reading {
            Reading::Known { source, .. } => (Available::Yes, String::new(), source.clone()),
            Reading::Denied { needs } => (Available::No, needs.clone(), "the kernel refused".to_string()),
            Reading::Unsupported { why } => (Available::No, String::new(), why.clone()),
            Reading::NotAsked => (Available::Unknown, String::new(), "not tried".to_string()),
            Reading::Failed { error } => (Available::Unknown, String::new(), error.clone()),
        };
        Self { name: name.into(), kind, what: what.into(), available, needs, why }
    }

    /// As [`Capability::of`] for a reading in its JSON form, as the store keeps it.
    pub fn of_json(name: &str, kind: &'static str, what: &str, reading: &serde_json::Value) -> Self {
        let field = |f: &str| reading.get(f).and_then(|v| v.as_str()).unwrap_or_default().to_string();
        let reading: Reading<()> = match reading.get("reading").and_then(|r| r.as_str()) {
            Some("known") => Reading::known((), field("source"), 0),
            Some("denied") => Reading::denied(field("needs")),
            Some("unsupported") => Reading::unsupported(field("why")),
            Some("failed") => Reading::failed(field("error")),
            _ => Reading::NotAsked,
        };
        Self::of(name, kind, what, &reading)
    }
}

/// What works here as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Kernel release.
    pub kernel: String,
    /// Effective user id.
    pub euid: u32,
    /// Effective capabilities by name.
    pub capabilities: Vec<String>,
    /// Everything that was tried.
    pub items: Vec<Capability>,
}

/// The list, and what one more privilege would add.
pub fn capabilities_text(all: &Capabilities, options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    let held = match all.capabilities.len() {
        0 => "no capabilities".to_string(),
        n if n > 30 => format!("all {n} capabilities"),
        _ => all.capabilities.join(", "),
    };
    page.entry("as", &format!("uid {} with {held}, kernel {}", all.euid, all.kernel));
    for (kind, title) in [("family", "Facts"), ("feature", "Features")] {
        page.gap();
        page.heading(title, "");
        for c in all.items.iter().filter(|c| c.kind == kind) {
            let (word, style) = match c.available {
                Available::Yes => ("yes", Style::Good),
                Available::No => ("NO", Style::Bad),
                Available::Unknown => ("unclear", Style::Unsure),
            };
            let mut text = c.what.clone();
            match c.available {
                Available::Yes if options.verbosity > 0 => text.push_str(&format!(" (through {})", c.why)),
                Available::Yes => {}
                _ if c.needs.is_empty() => text.push_str(&format!(": {}", c.why)),
                _ => text.push_str(&format!(": needs {}", c.needs)),
            }
            page.column(30, &format!("  {word:<8}{}", c.name), style, &text, Style::Plain);
        }
    }
    let mut needs: Vec<&str> = all
        .items
        .iter()
        .filter(|c| c.available == Available::No && !c.needs.contains(" or "))
        .flat_map(|c| c.needs.split(" and "))
        .filter(|n| !n.is_empty())
        .collect();
    needs.sort_unstable();
    needs.dedup();
    if !needs.is_empty() {
        page.gap();
        page.entry("missing", &needs.join(", "));
        if all.euid != 0 {
            page.labelled_command("with root", "sudo netwhy capabilities");
        }
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_outcomes_stay_apart() {
        let of = |r: &Reading<u8>| Capability::of("x", "family", "a thing", r);
        assert_eq!(of(&Reading::known(0, "door", 1)).available, Available::Yes);
        let denied = of(&Reading::denied("CAP_NET_ADMIN"));
        assert_eq!((denied.available, denied.needs.as_str()), (Available::No, "CAP_NET_ADMIN"));
        let missing = of(&Reading::unsupported("no module"));
        assert_eq!((missing.available, missing.needs.as_str()), (Available::No, ""));
        assert_eq!(of(&Reading::failed("EIO")).available, Available::Unknown);
        assert_eq!(of(&Reading::NotAsked).available, Available::Unknown);
        for reading in [
            Reading::known(0u8, "door", 1),
            Reading::denied("CAP_NET_ADMIN"),
            Reading::unsupported("no module"),
            Reading::failed("EIO"),
            Reading::NotAsked,
        ] {
            let json = serde_json::to_value(&reading).unwrap();
            assert_eq!(Capability::of_json("x", "family", "a thing", &json), of(&reading));
        }
    }

    #[test]
    fn what_is_missing_names_its_privilege() {
        let all = Capabilities {
            kernel: "6.18".into(),
            euid: 1000,
            capabilities: vec![],
            items: vec![
                Capability::of("nft", "family", "rules", &Reading::<()>::denied("CAP_NET_ADMIN")),
                Capability::of("btf", "feature", "types", &Reading::known((), "/sys/kernel/btf", 0)),
            ],
        };
        let text = capabilities_text(&all, &TextOptions::default());
        assert!(text.contains("NO      nft") && text.contains("rules: needs CAP_NET_ADMIN"), "{text}");
        assert!(text.contains("yes     btf") && text.contains("missing    CAP_NET_ADMIN"), "{text}");
    }
}
