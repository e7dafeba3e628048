//! What can be probed, as `-l` shows it, with arguments for `-lv`.

use netwhy_lang::passes::points;
use netwhy_lang::types::{Probes, Types};

use crate::btf::Kind;
use crate::kernel::Kernel;
use crate::wildcard;

/// Providers that are searched when none is named. Those of user programs need a file.
const EVERYWHERE: [&str; 7] =
    ["tracepoint", "rawtracepoint", "software", "hardware", "iter", "kprobe", "fentry"];
const MORE: [&str; 5] = ["uprobe", "uretprobe", "usdt", "kretprobe", "fexit"];

impl Kernel {
    /// Lines for a pattern: `PROVIDER:NAME`, a pattern for whole lines, or `struct NAME`.
    #[must_use]
    pub fn listed(&self, pattern: &str, verbose: bool) -> Vec<String> {
        if let Some((tag, name)) = pattern.split_once(' ') {
            return self.types(tag, name.trim(), verbose);
        }
        let (provider, rest) = match pattern.split_once(':') {
            Some((provider, rest)) => (points::provider(provider), rest),
            None if EVERYWHERE.contains(&points::provider(pattern)) => (points::provider(pattern), "*"),
            None => ("*", "*"),
        };
        let whole = (!pattern.contains(':') && provider == "*").then_some(pattern);
        let mut out = Vec::new();
        // A path or a process is about programs.
        let programs = rest.contains('/') || self.target().is_some();
        let named = MORE.iter().filter(|known| {
            **known == provider
                || programs && matches!(**known, "uprobe" | "usdt") && wildcard::matches(provider, known)
        });
        for known in EVERYWHERE.iter().filter(|known| wildcard::matches(provider, known)).chain(named) {
            for name in self.matching(known, if rest.is_empty() { "*" } else { rest }) {
                let line = format!("{known}:{name}");
                if whole.is_some_and(|whole| !wildcard::matches(whole, &line)) {
                    continue;
                }
                out.push(line);
                if verbose {
                    out.extend(self.arguments(known, &name));
                }
            }
        }
        // Timers and the like are no patterns: a script's own probes are listed as they are.
        if out.is_empty()
            && matches!(provider, "BEGIN" | "END" | "interval" | "profile" | "self" | "watchpoint")
        {
            out.push(pattern.to_owned());
        }
        out
    }

    fn types(&self, tag: &str, pattern: &str, verbose: bool) -> Vec<String> {
        let kinds: &[Kind] = match tag {
            "struct" => &[Kind::Struct],
            "union" => &[Kind::Union],
            "enum" => &[Kind::Enum, Kind::Enum64],
            _ => return Vec::new(),
        };
        let mut found: Vec<(String, u32)> = self
            .btf()
            .named(kinds)
            .map(|(id, name)| (String::from_utf8_lossy(name).into_owned(), id))
            .filter(|(name, _)| wildcard::matches(pattern, name))
            .collect();
        found.sort();
        found.dedup_by(|a, b| a.0 == b.0);
        let line = |(name, id): (String, u32)| match self.btf().definition(id).filter(|_| verbose) {
            Some(text) => format!("{text}\n"),
            None => format!("{tag} {name}"),
        };
        found.into_iter().map(line).collect()
    }

    fn arguments(&self, provider: &str, name: &str) -> Vec<String> {
        let lines = |list: Vec<(String, u32)>| -> Vec<String> {
            list.into_iter().map(|(name, id)| format!("    {}", self.btf().declaration(id, &name))).collect()
        };
        let signature = match provider {
            "tracepoint" => {
                let Some((category, event)) = name.split_once(':') else { return Vec::new() };
                let fields = self.tracepoint(category, event).unwrap_or_default();
                return fields
                    .into_iter()
                    .filter(|field| !field.name.starts_with("common_"))
                    .map(|field| match field.array {
                        Some(0) => format!("    {}[] {}", field.c_type, field.name),
                        Some(len) => format!("    {} {}[{len}]", field.c_type, field.name),
                        None => format!("    {} {}", field.c_type, field.name),
                    })
                    .collect();
            }
            "rawtracepoint" => self.raw_tracepoint(name.rsplit(':').next().unwrap_or(name)),
            "fentry" | "fexit" | "kprobe" | "kretprobe" => {
                self.function(None, name.rsplit(':').next().unwrap_or(name))
            }
            "iter" => {
                let context = self.btf().find(&[Kind::Struct], &format!("bpf_iter__{name}"));
                let Some(netwhy_lang::types::TypeDesc::Struct { members, .. }) =
                    context.and_then(|id| self.btf().describe(id))
                else {
                    return Vec::new();
                };
                // Some members are wrapped in an anonymous union to have 64 bits.
                let mut all = Vec::new();
                for member in members {
                    match (member.name.is_empty(), self.btf().describe(member.ty.0)) {
                        (true, Some(netwhy_lang::types::TypeDesc::Struct { members, .. })) => {
                            all.extend(
                                members.into_iter().filter(|m| !m.name.is_empty()).map(|m| (m.name, m.ty.0)),
                            );
                        }
                        _ => all.push((member.name, member.ty.0)),
                    }
                }
                all.retain(|(name, _)| name != "meta");
                return lines(all);
            }
            _ => None,
        };
        let Some(signature) = signature else { return Vec::new() };
        let mut all: Vec<(String, u32)> = signature.params.into_iter().map(|p| (p.name, p.ty.0)).collect();
        if matches!(provider, "fexit" | "kretprobe")
            && let Some(ret) = signature.ret
        {
            all.push(("retval".to_owned(), ret.0));
        }
        lines(all)
    }
}
