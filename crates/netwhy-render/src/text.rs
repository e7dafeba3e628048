//! The answer on a screen: verdict, object, evidence, what was excluded, what to do. The first line says it all;
//! every line below can be checked with the command beside it.

pub(crate) mod page;
mod stages;

use netwhy_causes::Evidence;
use netwhy_causes::fix::show;
use netwhy_causes::report::{CauseOut, Confidence, Cost, NotCheckable, Overall, Report};

use crate::locus::locus_text;
use page::{Page, Style};

/// How to write an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// 0: one screen. 1: everything known. 2: also every stage of the path.
    pub verbosity: u8,
    /// Use colours (never the only carrier of a meaning).
    pub color: bool,
    /// Columns of the screen.
    pub width: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { verbosity: 0, color: false, width: 100 }
    }
}

/// Lines an answer may take at verbosity 0.
const SCREEN: usize = 24;
/// Lines more it may take when nothing but its empty lines is left to leave out.
const GRACE: usize = 3;

/// How many entries of each part are shown.
#[derive(Clone, Copy)]
struct Limits {
    evidence: usize,
    ruled_out: usize,
    unchecked: usize,
    fixes: usize,
    /// Empty lines between the parts.
    airy: bool,
    /// Nothing more can be left out.
    sparse: bool,
}

impl Limits {
    const ALL: Self = Self {
        evidence: usize::MAX,
        ruled_out: usize::MAX,
        unchecked: usize::MAX,
        fixes: usize::MAX,
        airy: true,
        sparse: false,
    };

    /// From generous to sparse; the first that fits the screen is taken. Three pieces of evidence always stay.
    const fn ladder() -> [Self; 7] {
        const fn of(evidence: usize, ruled_out: usize, unchecked: usize, fixes: usize) -> Limits {
            Limits { evidence, ruled_out, unchecked, fixes, airy: true, sparse: false }
        }
        [
            of(6, 4, 3, 2),
            of(5, 3, 2, 1),
            of(4, 3, 2, 1),
            of(4, 2, 1, 1),
            of(3, 2, 1, 1),
            Limits { sparse: true, ..of(3, 1, 1, 1) },
            Limits { airy: false, ..of(3, 1, 1, 1) },
        ]
    }
}

/// The whole answer as text.
pub fn report_text(report: &Report, options: &TextOptions) -> String {
    if options.verbosity > 0 {
        return build(report, options, Limits::ALL).finish();
    }
    let mut best = None;
    for limits in Limits::ladder() {
        let page = build(report, options, limits);
        let height = page.height();
        let fits = height <= SCREEN || (limits.sparse && height <= SCREEN + GRACE);
        // Without its empty lines an answer is harder to read: only when that makes it fit.
        if fits || limits.airy || best.is_none() {
            best = Some(page);
        }
        if fits {
            break;
        }
    }
    best.map(Page::finish).unwrap_or_default()
}

fn build(report: &Report, options: &TextOptions, limits: Limits) -> Page {
    let mut page = Page::new(options.width, options.color);
    page.airy = limits.airy;
    let mut hidden = Hidden::default();
    verdict(&mut page, report);
    for (nth, cause) in report.causes.iter().enumerate() {
        if nth > 0 {
            page.gap();
            let label = if cause.confidence == Confidence::Proven { "and" } else { "maybe" };
            page.entry(label, &cause.summary);
        }
        write_cause(&mut page, report, cause, nth == 0, options.verbosity);
        if nth == 0 {
            page.gap();
        }
        // A further cause is told in short; -v tells it in full.
        let most = if nth == 0 || options.verbosity > 0 { limits.evidence } else { 1 };
        write_evidence(&mut page, "evidence", &cause.evidence, most, options.verbosity);
        hidden.proofs += cause.evidence.len().saturating_sub(most);
    }
    if report.causes.is_empty() && report.verdict != Overall::Healthy {
        page.gap();
        stages::write_ends(&mut page, &report.stages);
    }
    excluded(&mut page, report, options, limits, &mut hidden);
    stages::write_disagreements(&mut page, &report.disagreements, options.verbosity > 0);
    if let Some(hand_off) = &report.hand_off {
        page.gap();
        page.entry("last good", &hand_off.last_good);
        for (i, line) in hand_off.text.lines().enumerate() {
            page.entry(if i == 0 { "hand over" } else { "" }, line);
        }
    }
    repair(&mut page, report, limits, &mut hidden);
    if options.verbosity > 1 {
        stages::write(&mut page, &report.stages);
    }
    page.gap();
    asked(&mut page, report);
    let more = hidden.text().map_or(String::new(), |text| format!("; {text}"));
    page.styled("cost", Style::Faint, &format!("{}{more}", cost_text(&report.cost)), Style::Faint);
    page
}

/// What a short answer leaves out.
#[derive(Default)]
struct Hidden {
    proofs: usize,
    exclusions: usize,
    unchecked: usize,
    fixes: usize,
}

impl Hidden {
    fn text(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.proofs, "fact", "facts"),
            (self.exclusions, "exclusion", "exclusions"),
            (self.unchecked, "unchecked", "unchecked"),
            (self.fixes, "fix", "fixes"),
        ]
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, one, many)| format!("{n} {}", if n == 1 { one } else { many }))
        .collect();
        (!parts.is_empty()).then(|| format!("-v adds {}", parts.join(", ")))
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let (word, style) = match report.verdict {
        Overall::Problem => ("PROBLEM", Style::Bad),
        Overall::Healthy => ("HEALTHY", Style::Good),
        Overall::Undetermined => ("UNDETERMINED", Style::Unsure),
        Overall::Outside => ("OUTSIDE", Style::Unsure),
    };
    page.styled(word, style, &report.headline, Style::Plain);
}

fn write_cause(page: &mut Page, report: &Report, cause: &CauseOut, root: bool, verbosity: u8) {
    page.entry("where", &locus_text(&cause.locus));
    let sure = match cause.confidence {
        Confidence::Proven => "proven",
        Confidence::Consistent => "fits the facts, not proven",
    };
    let outside = if cause.outside { ", not on this host" } else { "" };
    let title = if root || verbosity > 0 { format!(": {}", cause.title) } else { String::new() };
    page.entry("cause", &format!("{} ({sure}{outside}){title}", cause.id));
    if !cause.explains.is_empty() {
        page.entry("explains", &cause.explains.join(", "));
    }
    let some = cause.flows.len() < report.question.addresses.len();
    if !cause.flows.is_empty() && (some || (root && cause.flows.len() > 1)) {
        page.entry("concerns", &cause.flows.join(", "));
    }
}

fn write_evidence(page: &mut Page, label: &str, evidence: &[Evidence], most: usize, verbosity: u8) {
    for (i, e) in evidence.iter().take(most).enumerate() {
        page.shown_by(if i == 0 { label } else { "" }, &e.statement, &e.command);
        if verbosity > 0 {
            let value = match &e.value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(s) => format!(", value {s}"),
                v => format!(", value {v}"),
            };
            let window =
                e.window_us.filter(|w| *w > 0).map_or(String::new(), |w| format!(", over {}", time(w)));
            page.note(&format!("[{}] from {}{value}{window}", e.id, e.source));
        }
    }
}

fn excluded(page: &mut Page, report: &Report, options: &TextOptions, limits: Limits, hidden: &mut Hidden) {
    let unchecked = grouped(&report.not_checkable);
    if report.ruled_out.is_empty() && unchecked.is_empty() {
        return;
    }
    page.gap();
    for (i, out) in report.ruled_out.iter().take(limits.ruled_out).enumerate() {
        let label = if i == 0 { "ruled out" } else { "" };
        page.entry(label, &format!("{}: {}", out.id, out.because));
        if options.verbosity > 0 {
            write_evidence(page, "", &out.evidence, usize::MAX, options.verbosity);
        }
    }
    hidden.exclusions += report.ruled_out.len().saturating_sub(limits.ruled_out);
    for (i, (needs, what)) in unchecked.iter().take(limits.unchecked).enumerate() {
        page.entry(
            if i == 0 { "unchecked" } else { "" },
            &format!("{}: {needs}", join_some(what, options.verbosity)),
        );
    }
    hidden.unchecked += unchecked.len().saturating_sub(limits.unchecked);
    // The line that would add what is missing matters only when the answer may change with it.
    let undecided = !matches!(report.verdict, Overall::Healthy)
        && report.causes.first().is_none_or(|c| c.confidence != Confidence::Proven);
    if undecided && report.not_checkable.iter().any(|n| n.privilege) {
        page.labelled_command("with root", &format!("sudo {}", ask_again(report)));
    }
}

/// What could not be checked, by what it needs; privileges first.
fn grouped(list: &[NotCheckable]) -> Vec<(&str, Vec<&str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for pass in [true, false] {
        for n in list.iter().filter(|n| n.privilege == pass) {
            match out.iter_mut().find(|(needs, _)| *needs == n.needs) {
                Some((_, what)) => what.push(&n.what),
                None => out.push((&n.needs, vec![&n.what])),
            }
        }
    }
    out
}

fn join_some(what: &[&str], verbosity: u8) -> String {
    match what {
        [a, b, c, rest @ ..] if verbosity == 0 && !rest.is_empty() => {
            format!("{a}, {b}, {c} and {} more", rest.len())
        }
        all => all.join(", "),
    }
}

fn repair(page: &mut Page, report: &Report, limits: Limits, hidden: &mut Hidden) {
    let Some(root) = report.causes.first() else { return };
    page.gap();
    for (nth, cause) in report.causes.iter().enumerate() {
        let most = if nth == 0 || limits.fixes == usize::MAX { limits.fixes } else { 1 };
        for (i, fix) in cause.fix.iter().take(most).enumerate() {
            let label = match (i, nth, cause.confidence) {
                (0, 0, _) => "fix",
                (0, _, Confidence::Proven) => "and fix",
                (0, _, Confidence::Consistent) => "maybe fix",
                // A text that says itself how it belongs to the one before needs no label.
                _ if ["or ", "and ", "then ", "until then"].iter().any(|w| fix.text.starts_with(w)) => "",
                _ => "also",
            };
            write_fix(page, label, fix);
        }
        hidden.fixes += cause.fix.len().saturating_sub(most);
    }
    if root.fix.is_empty() {
        let look = show(&root.locus);
        if !look.is_empty() {
            page.labelled_command("look at", &look);
        }
    }
    let verify = if root.verify.is_empty() { ask_again(report) } else { root.verify.clone() };
    page.labelled_command("verify", &verify);
}

fn write_fix(page: &mut Page, label: &str, fix: &netwhy_causes::Fix) {
    page.entry(label, &fix.text);
    if !fix.command.is_empty() {
        page.command(&fix.command);
    }
    if !fix.undo.is_empty() {
        page.labelled_command("  undo", &fix.undo);
    }
    if !fix.risk.is_empty() {
        page.column(page::GUTTER + 2, "  risk", Style::Label, &fix.risk, Style::Plain);
    }
}

/// The command that asks the same question again.
fn ask_again(report: &Report) -> String {
    let q = &report.question;
    if !q.command.is_empty() {
        return q.command.clone();
    }
    let mut out = format!("netwhy {} {}", q.scenario, shell_word(&q.target));
    if q.role != "client" {
        out.push_str(&format!(" --{}", q.role));
    }
    if let Some(from) = &q.from {
        out.push_str(&format!(" --from {}", shell_word(from)));
    }
    out
}

/// A word as a shell reads it back, quoted only when it has to be.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/@%+=[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.contains('[') {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn asked(page: &mut Page, report: &Report) {
    let q = &report.question;
    let client = q.from.as_ref().map_or(String::new(), |f| format!(" of client {f}"));
    let role = match q.role.as_str() {
        "client" => "as the client".to_string(),
        "inbound" => format!("as the server{client}"),
        "transit" => format!("as a router between{}", client.replace(" of ", ", ")),
        other => format!("as {other}{client}"),
    };
    let to = match q.addresses.as_slice() {
        // A single address stands in the verdict already.
        [] | [_] => String::new(),
        many => format!(": {}", many.join(", ")),
    };
    let text = format!("{role}, in {}, {}{to}", q.netns, q.started);
    page.styled("asked", Style::Faint, &text, Style::Faint);
}

fn cost_text(cost: &Cost) -> String {
    let mut out = format!(
        "{} wall, {} CPU, {} MB, {} sent",
        time(cost.wall_us),
        time(cost.cpu_us),
        cost.rss_bytes.div_ceil(1 << 20),
        plural(cost.packets_sent, "packet")
    );
    if cost.events > 0 {
        out.push_str(&format!(", {}", plural(cost.events, "event")));
    }
    if cost.lost > 0 {
        out.push_str(&format!(", {} LOST (the answer may miss something)", plural(cost.lost, "event")));
    }
    out
}

fn plural(n: u64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

/// A duration as a person says it.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
