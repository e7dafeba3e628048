//! `ethtool`: what a device's driver says and can be told, over its netlink family and its ioctl. With `--json` every
//! reading form has JSON; docs/classic.md names the keys.

mod features;
mod hardware;
mod settings;
mod tuning;

use netwhy_collect::CollectError;
use netwhy_sys::SysError;
use netwhy_sys::netlink::NetlinkError;
use netwhy_wire::netlink::Builder;

use crate::iproute::Page;
use crate::{Session, Tool, ToolError};

/// The tool.
pub static TOOL: Tool = Tool {
    name: "ethtool",
    aliases: &[],
    about: "what drivers say: links, features, rings, channels, statistics",
    run,
};

/// A run of it.
pub(super) struct Run<'a> {
    pub(super) page: Page<'a>,
    pub(super) err: &'a mut dyn std::io::Write,
    pub(super) collector: netwhy_collect::Collector,
    pub(super) device: String,
    /// The words behind the device.
    pub(super) words: Vec<String>,
    /// `-I`: statistics beside the settings that have some.
    pub(super) include_statistics: bool,
}

type Verb = fn(&mut Run<'_>) -> Result<u8, ToolError>;

/// What a word asks for.
struct Form {
    short: &'static str,
    long: &'static [&'static str],
    verb: Verb,
}

#[rustfmt::skip]
const FORMS: &[Form] = &[
    Form { short: "-s", long: &["--change"], verb: settings::change },
    Form { short: "-a", long: &["--show-pause"], verb: tuning::pause },
    Form { short: "-A", long: &["--pause"], verb: tuning::set_pause },
    Form { short: "-c", long: &["--show-coalesce"], verb: tuning::coalesce },
    Form { short: "-C", long: &["--coalesce"], verb: tuning::set_coalesce },
    Form { short: "-g", long: &["--show-ring"], verb: tuning::rings },
    Form { short: "-G", long: &["--set-ring"], verb: tuning::set_rings },
    Form { short: "-k", long: &["--show-features", "--show-offload"], verb: features::show },
    Form { short: "-K", long: &["--features", "--offload"], verb: features::change },
    Form { short: "-i", long: &["--driver"], verb: hardware::driver },
    Form { short: "-d", long: &["--register-dump"], verb: hardware::registers },
    Form { short: "-l", long: &["--show-channels"], verb: tuning::channels },
    Form { short: "-L", long: &["--set-channels"], verb: tuning::set_channels },
    Form { short: "-p", long: &["--identify"], verb: hardware::identify },
    Form { short: "-S", long: &["--statistics"], verb: hardware::statistics },
    Form { short: "-n", long: &["-u", "--show-nfc", "--show-ntuple"], verb: hardware::rules },
    Form { short: "-T", long: &["--show-time-stamping"], verb: hardware::time_stamping },
    Form { short: "-x", long: &["--show-rxfh-indir", "--show-rxfh"], verb: hardware::receive_hash },
    Form { short: "-P", long: &["--show-permaddr"], verb: hardware::permanent_address },
    Form { short: "-m", long: &["--dump-module-eeprom", "--module-info"], verb: hardware::module },
    Form { short: "--phy-statistics", long: &[], verb: hardware::phy_statistics },
    Form { short: "--show-eee", long: &[], verb: tuning::eee },
    Form { short: "--show-fec", long: &[], verb: tuning::fec },
];

/// What the original understands and netwhy does not.
const REFUSED: &[&str] = &[
    "-e",
    "--eeprom-dump",
    "-E",
    "--change-eeprom",
    "-r",
    "--negotiate",
    "-t",
    "--test",
    "-N",
    "-U",
    "--config-nfc",
    "--config-ntuple",
    "-X",
    "--set-rxfh-indir",
    "--rxfh",
    "-f",
    "--flash",
    "-w",
    "--get-dump",
    "-W",
    "--set-dump",
    "--show-priv-flags",
    "--set-priv-flags",
    "--set-eee",
    "--set-fec",
    "--set-phy-tunable",
    "--get-phy-tunable",
    "--get-tunable",
    "--set-tunable",
    "--reset",
    "-Q",
    "--per-queue",
    "--cable-test",
    "--cable-test-tdr",
    "--show-tunnels",
    "--show-module",
    "--set-module",
    "--get-plca-cfg",
    "--set-plca-cfg",
    "--monitor",
    "--show-pse",
    "--set-pse",
];

fn bad() -> ToolError {
    ToolError::usage("ethtool: bad command line argument(s)\nFor more information run ethtool -h", 1)
}

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let (mut json, mut include_statistics) = (session.json, false);
    let mut rest = args;
    while let Some((word, more)) = rest.split_first() {
        match word.as_str() {
            "--json" => json = true,
            "-I" | "--include-statistics" => include_statistics = true,
            "--debug" => rest = more,
            "--version" => {
                writeln!(session.out, "ethtool version netwhy-{}", env!("CARGO_PKG_VERSION"))?;
                return Ok(0);
            }
            "-h" | "--help" => {
                let forms: Vec<String> =
                    FORMS.iter().map(|form| format!("  ethtool {} DEVICE", form.short)).collect();
                writeln!(session.out, "Usage:\n  ethtool [--json] [-I] DEVICE\n{}", forms.join("\n"))?;
                return Ok(0);
            }
            _ => break,
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    let (first, more) = rest.split_first().ok_or_else(bad)?;
    let (verb, words): (Verb, &[String]) =
        match FORMS.iter().find(|form| form.short == first || form.long.contains(&first.as_str())) {
            Some(form) => (form.verb, more),
            None if REFUSED.contains(&first.as_str()) && !more.is_empty() => {
                return Err(ToolError::Refused {
                    what: format!("ethtool {first}"),
                    why: "netwhy does not do this to a device".to_owned(),
                    code: 1,
                });
            }
            None if first.starts_with('-') => return Err(bad()),
            None => (settings::show, rest),
        };
    let (device, words) = words.split_first().ok_or_else(bad)?;
    let collector = session.collector()?;
    let mut page = Page::new(&mut *session.out);
    if json {
        page.set_json(true);
    }
    let mut run = Run {
        page,
        err: &mut *session.err,
        collector,
        device: device.clone(),
        words: words.to_vec(),
        include_statistics,
    };
    let result = verb(&mut run);
    run.page.flush()?;
    result
}

impl Run<'_> {
    /// One request of the netlink family; the error is in ethtool's words and has its exit code.
    pub(super) fn ask(&mut self, command: u8, flags: u32, code: u8) -> Result<Vec<u8>, ToolError> {
        self.request(command, flags, code, |_| {})
    }

    pub(super) fn request(
        &mut self,
        command: u8,
        flags: u32,
        code: u8,
        fill: impl FnOnce(&mut Builder),
    ) -> Result<Vec<u8>, ToolError> {
        self.collector.ethtool(command, &self.device, flags, fill).map_err(|error| netlink(&error, code))
    }

    /// Asks over the ioctl, inside the namespace.
    pub(super) fn ioctl<T: Send>(
        &self,
        what: &str,
        code: u8,
        ask: impl FnOnce(&str) -> Result<T, SysError> + Send,
    ) -> Result<T, ToolError> {
        let device = self.device.as_str();
        let answer = self.collector.inside(move || ask(device))?;
        answer.map_err(|error| ToolError::failed(format!("{what}: {}", error.errno.description()), code))
    }

    /// Says what is about to change and how to take it back.
    pub(super) fn announce(&mut self, what: &str, undo: Option<&str>) -> Result<(), ToolError> {
        self.page.flush()?;
        crate::session::announce(self.err, what, undo)
    }

    /// Opens the one object of a JSON answer.
    pub(super) fn open(&mut self) {
        self.page.list("");
        self.page.open("");
        let device = self.device.clone();
        self.page.json("ifname", &device);
    }

    pub(super) fn close(&mut self) {
        self.page.close();
        self.page.end_list();
        self.page.end();
    }
}

/// `netlink error: TEXT (offset 24)`, then the error number's meaning.
pub(super) fn netlink(error: &CollectError, code: u8) -> ToolError {
    let CollectError::Netlink(NetlinkError::Refused(refusal)) = error else {
        return ToolError::failed(error.to_string(), code);
    };
    let mut text = String::new();
    if let Some(message) = &refusal.message {
        text.push_str(&format!("netlink error: {message}"));
        if let Some(offset) = refusal.offset {
            text.push_str(&format!(" (offset {offset})"));
        }
        text.push('\n');
    }
    text.push_str(&format!("netlink error: {}", refusal.errno.description()));
    ToolError::failed(text, code)
}
