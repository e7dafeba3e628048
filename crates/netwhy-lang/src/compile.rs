//! The order of the passes, in one function.

use crate::codegen::{self, Maps, Shared};
use crate::diag::{Diagnostic, Result, Span};
use crate::features::Features;
use crate::passes::expand::expand;
use crate::passes::fields::World;
use crate::passes::infer::infer;
use crate::program::{Config, MissingProbes, ProgramSpec};
use crate::types::{Probes, Types};
use crate::{ast, parser};

/// What comes from the command line and the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Positional parameters, `$1` first.
    pub params: Vec<String>,
    /// Named parameters (`--name=value`; a name alone is `true`), read by `getopt`.
    pub named: Vec<(String, String)>,
    /// What messages of the script call it; `stdin` when empty.
    pub name: String,
    /// The process a run was told to start, for `cpid`.
    pub child: Option<u32>,
    /// Settings, overridden by the script's own.
    pub config: Config,
}

/// A compiled script and what should be said about it.
#[derive(Debug)]
pub struct Compiled {
    /// The result.
    pub spec: ProgramSpec,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// Named parameters that were given and that the script does not read.
    pub unread: Vec<String>,
}

/// Settings that only user space looks at.
const OTHER: [&str; 14] = [
    "cache_user_symbols",
    "cpp_demangle",
    "lazy_symbolication",
    "license",
    "log_size",
    "max_ast_nodes",
    "max_bpf_progs",
    "max_cat_bytes",
    "max_probes",
    "max_type_res_iterations",
    "on_stack_limit",
    "perf_rb_pages",
    "stack_mode",
    "str_trunc_trailer",
];

/// Licences under which the kernel offers all of its helpers.
const LICENSES: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Compiles a script.
pub fn compile(
    script: &str,
    options: &Options,
    types: &dyn Types,
    probes: &dyn Probes,
    features: &Features,
) -> Result<Compiled> {
    let tree = parser::parse(script)?;
    let mut base = options.config.clone();
    if !features.long_keys && base.max_strlen == Config::default().max_strlen {
        base.max_strlen = SHORT;
    }
    let config = settings(&tree, &base)?;
    // Macros and parameters first: a wildcard may be a parameter.
    let (units, params, asked) = expand(&tree, &config, options, probes)?;
    let world = World { types, structs: &tree.structs, enums: &tree.enums, strlen: config.max_strlen };
    // Names are resolved inside, then types until they settle.
    let inferred = infer(units, world, features)?;
    let mut shared = Shared {
        world,
        features,
        child: options.child,
        place: &|span| place(&options.name, script, span),
        maps: Maps::default(),
        actions: Vec::new(),
    };
    codegen::layout(&mut shared, &inferred.maps, &tree.maps, &config)?;
    // The scratch map has a place before anybody knows its size.
    let count = u32::try_from(inferred.units.len()).unwrap_or(u32::MAX).max(1);
    shared.maps.scratch(0, count);
    let mut programs = Vec::new();
    let mut scratch = 0;
    for (index, unit) in inferred.units.iter().enumerate() {
        let (program, size) = codegen::program(&mut shared, unit, index as u32)?;
        scratch = scratch.max(size);
        programs.push(program);
    }
    shared.maps.set_scratch_size(scratch);
    let spec = ProgramSpec { programs, maps: shared.maps.specs, actions: shared.actions, config, params };
    let unread =
        options.named.iter().map(|(name, _)| name).filter(|name| !asked.contains(*name)).cloned().collect();
    Ok(Compiled { spec, warnings: inferred.warnings, unread })
}

/// A place as messages name it: file, line, columns.
fn place(name: &str, script: &str, span: Span) -> String {
    let (line, from, to) = crate::diag::position(script, span);
    format!("{}:{line}:{from}-{to}", if name.is_empty() { "stdin" } else { name })
}

fn settings(tree: &ast::Script, base: &Config) -> Result<Config> {
    let mut config = base.clone();
    for (name, value, span) in &tree.config {
        set(&mut config, name, value).map_err(|wrong| {
            let mut error = Diagnostic::error(*span, wrong);
            if !SETTINGS.iter().chain(&OTHER).any(|known| *known == short(name)) {
                error = error.nearest(&short(name), SETTINGS.iter().chain(&OTHER).copied());
            }
            error
        })?;
    }
    Ok(config)
}

/// Bytes of a string where a key must fit the stack of 512: two of them, unless the script says otherwise.
const SHORT: u32 = 200;

/// Settings the compiler looks at.
const SETTINGS: [&str; 4] = ["max_strlen", "max_map_keys", "missing_probes", "print_maps_on_exit"];

/// A setting's name in scripts: the environment's are in capitals, with a prefix.
fn short(name: &str) -> String {
    name.strip_prefix("BPFTRACE_").unwrap_or(name).to_ascii_lowercase()
}

/// Changes one setting, by its name in scripts or in the environment; the error says what is wrong.
pub fn set(config: &mut Config, name: &str, value: &str) -> std::result::Result<(), String> {
    let short = short(name);
    let bad = || format!("`{value}` is no value of `{name}`");
    let number =
        |low: u32, high: u32| value.parse::<u32>().ok().filter(|n| (low..=high).contains(n)).ok_or_else(bad);
    match short.as_str() {
        "max_strlen" => config.max_strlen = number(1, 16384)?,
        "max_map_keys" => config.max_map_keys = number(1, 1 << 26)?,
        "print_maps_on_exit" => {
            config.print_maps_on_exit = match value {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(bad()),
            };
        }
        "missing_probes" => {
            config.missing_probes = match value {
                "error" => MissingProbes::Error,
                "warn" => MissingProbes::Warn,
                "ignore" => MissingProbes::Ignore,
                _ => return Err(bad()),
            };
        }
        "license" if !LICENSES.contains(&value) => {
            let all = LICENSES.join(", ");
            return Err(format!("Invalid value for license. Found: {value}. Valid values: {all}"));
        }
        other if OTHER.contains(&other) || other.starts_with("unstable_") => {
            config.other.push((short.clone(), value.to_owned()))
        }
        _ => return Err(format!("unknown setting `{name}`")),
    }
    Ok(())
}
