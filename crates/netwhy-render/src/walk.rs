//! A predicted path as text and JSON.

use netwhy_walk::{Action, End, Packet, Path, Step};
use serde::Serialize;

use crate::locus::locus_text;
use crate::text::TextOptions;
use crate::text::page::{Page, Style};

/// Both directions of a packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Walk {
    /// The first packet.
    pub forward: Direction,
    /// Its answer.
    pub reply: Direction,
}

/// One direction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Direction {
    /// How it ends, in words.
    pub outcome: String,
    /// Whether the packet gets through this host.
    pub passes: bool,
    /// Whether that holds without an assumption.
    pub certain: bool,
    /// The path.
    pub path: Path,
}

impl Walk {
    /// From the two predicted paths.
    pub fn new(forward: Path, reply: Path) -> Self {
        let direction = |path: Path| Direction {
            outcome: end_text(&path),
            passes: path.passes(),
            certain: path.is_certain(),
            path,
        };
        Self { forward: direction(forward), reply: direction(reply) }
    }

    /// 0 when it gets through both ways, 1 when it is stopped, 3 when the facts do not suffice.
    pub fn exit_code(&self) -> u8 {
        let stopped = |d: &Direction| d.path.blocker().is_some();
        if stopped(&self.forward) || (self.forward.passes && stopped(&self.reply)) {
            1
        } else if self.forward.passes && self.reply.passes {
            0
        } else {
            3
        }
    }
}

/// Column of a step's text.
const STEP: usize = 18;

/// Both directions, step by step.
pub fn walk_text(walk: &Walk, options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    for (name, d) in [("forward", &walk.forward), ("reply", &walk.reply)] {
        page.gap();
        page.heading(name, &packet_text(&d.path.packet));
        for step in &d.path.steps {
            write_step(&mut page, step, options);
        }
        let style = match (d.passes, d.path.blocker().is_some()) {
            (true, _) => Style::Good,
            (_, true) => Style::Bad,
            _ => Style::Unsure,
        };
        page.column(STEP, "  ends", Style::Label, &d.outcome, style);
        for assumption in &d.path.assumptions {
            page.column(STEP, "  assuming", Style::Label, assumption, Style::Plain);
        }
    }
    page.finish()
}

fn write_step(page: &mut Page, step: &Step, options: &TextOptions) {
    let (text, style) = match &step.action {
        Action::Pass | Action::Deliver | Action::Send => (step.text.clone(), Style::Plain),
        Action::Changed { what } => (format!("{}: {what}", step.text), Style::Plain),
        Action::Drop => (format!("{}: DROP", step.text), Style::Bad),
        Action::Reject { with } => (format!("{}: REJECT with {with}", step.text), Style::Bad),
        Action::Stolen { to } => (format!("{}: handed to {to}", step.text), Style::Unsure),
        Action::Unknown { what } => {
            (format!("{}: insufficient information ({what})", step.text), Style::Unsure)
        }
    };
    page.column(STEP, &format!("  {}", stage_name(step)), Style::Faint, &text, style);
    if options.verbosity > 0 {
        for passed in &step.passed {
            page.column(STEP + 2, "", Style::Plain, passed, Style::Faint);
        }
    }
}

fn stage_name(step: &Step) -> String {
    serde_json::to_value(step.stage).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn packet_text(packet: &Packet) -> String {
    let proto = match packet.proto {
        1 => "icmp".to_string(),
        6 => "tcp".to_string(),
        17 => "udp".to_string(),
        58 => "icmpv6".to_string(),
        n => format!("protocol {n}"),
    };
    if matches!(packet.proto, 6 | 17) {
        let end = |a, p| std::net::SocketAddr::new(a, p).to_string();
        format!("{proto} {} -> {}", end(packet.src, packet.sport), end(packet.dst, packet.dport))
    } else {
        format!("{proto} type {} {} -> {}", packet.icmp_type, packet.src, packet.dst)
    }
}

/// How a path ends, in words.
pub fn end_text(path: &Path) -> String {
    match &path.end {
        End::Delivered { locus } => format!("delivered to {}", locus_text(locus)),
        End::Sent { dev, next_hop: Some(hop) } => format!("sent through {dev} to {hop}"),
        End::Sent { dev, next_hop: None } => format!("sent through {dev}"),
        End::Dropped { locus } => format!("DROPPED by {}", locus_text(locus)),
        End::Rejected { locus, with } => format!("REJECTED with {with} by {}", locus_text(locus)),
        End::NoSocket { locus } => format!("REFUSED: {}", locus_text(locus)),
        End::Unroutable { locus, error } => format!("NOT ROUTED ({error}): {}", locus_text(locus)),
        End::Unresolved { locus } => format!("NOT RESOLVED: {}", locus_text(locus)),
        End::Stolen { to, .. } => format!("handed to {to}; what becomes of it is not decided here"),
        End::Insufficient { what, .. } => format!("insufficient information: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_facts::{Flow, Locus, Proto};
    use netwhy_walk::Stage;

    fn path(end: End, action: Action) -> Path {
        let flow = Flow {
            proto: Proto::Tcp,
            src: None,
            sport: None,
            dst: "203.0.113.2".parse().unwrap(),
            dport: 80,
            mark: 0,
            uid: None,
            dev: None,
        };
        let packet = Packet::first_of(&flow, "198.51.100.7".parse().unwrap(), 40000);
        let step = Step {
            stage: Stage::Output,
            text: "inet filter output handle 7: drop \x1b[2J".into(),
            locus: None,
            action,
            passed: vec!["handle 5: counter".into()],
        };
        Path { finally: packet.clone(), packet, steps: vec![step], end, assumptions: vec![], ct: None }
    }

    #[test]
    fn a_drop_is_shown_where_it_happens() {
        let locus = Locus::Sysctl { name: "x".into(), value: "0".into() };
        let stopped = path(End::Dropped { locus: locus.clone() }, Action::Drop);
        let sent = path(End::Sent { dev: "eth0".into(), next_hop: None }, Action::Pass);
        let walk = Walk::new(stopped.clone(), sent.clone());
        let text = walk_text(&walk, &TextOptions { verbosity: 1, ..TextOptions::default() });
        assert!(text.starts_with("forward  tcp 198.51.100.7:40000 -> 203.0.113.2:80\n"), "{text}");
        assert!(
            text.contains("  output          inet filter output handle 7: drop \\x1b[2J: DROP\n"),
            "{text}"
        );
        assert!(text.contains("  ends            DROPPED by sysctl x = 0\n"), "{text}");
        assert!(text.contains("handle 5: counter"), "{text}");
        let unclear = path(End::Insufficient { what: "a program".into(), locus: None }, Action::Pass);
        assert_eq!(walk.exit_code(), 1);
        assert_eq!(Walk::new(sent.clone(), stopped.clone()).exit_code(), 1);
        assert_eq!(Walk::new(sent.clone(), sent.clone()).exit_code(), 0);
        assert_eq!(Walk::new(unclear.clone(), stopped).exit_code(), 3);
        assert_eq!(Walk::new(sent, unclear).exit_code(), 3);
    }
}
