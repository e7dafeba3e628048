//! `ip netns`: named namespaces, what is in them, and running a program inside one.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use netwhy_change::ChangeError;
use netwhy_change::netns as change;
use netwhy_sys::isolate;
use netwhy_sys::mount::{self, Mount};
use netwhy_sys::netns::{self, NetnsId, NetnsRef};
use netwhy_wire::netlink::{Builder, Table};

use crate::iproute::words::{self, Words, pick, wrong};
use crate::iproute::{Ctx, Options, WRONG, netns_id, netns_names};
use crate::{Session, ToolError};

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
const NETNSA_TARGET_NSID: u16 = 4;
const NETNSA_CURRENT_NSID: u16 = 5;

/// `ip netns`.
pub(super) fn run(session: &mut Session<'_>, options: Options, rest: &[String]) -> Result<u8, ToolError> {
    let mut words = Words::new(rest);
    let verbs = [
        "list", "show", "lst", "list-id", "help", "add", "set", "delete", "identify", "pids", "exec",
        "monitor", "attach",
    ];
    let verb = match words.next() {
        None => "list",
        Some(word) => pick(word, &verbs).ok_or_else(|| {
            ToolError::usage(format!("Command \"{word}\" is unknown, try \"ip netns help\"."), WRONG)
        })?,
    };
    if verb == "exec" {
        return exec(session, &options, words.rest());
    }
    let mut ctx = Ctx::new(session, options)?;
    let result = match verb {
        "list" | "show" | "lst" => list(&mut ctx),
        "list-id" => list_ids(&mut ctx, words),
        "identify" => identify(&mut ctx, words),
        "pids" => pids(&mut ctx, words),
        "add" => add(&mut ctx, words),
        "delete" => delete(&mut ctx, words),
        "attach" => attach(&mut ctx, words),
        "set" => set(&mut ctx, words),
        "monitor" => Err(ToolError::Refused {
            what: "ip netns monitor".to_owned(),
            why: "it watches a directory; use ip monitor nsid".to_owned(),
            code: WRONG,
        }),
        _ => Err(ToolError::usage(
            "Usage: ip netns list | add NAME | attach NAME PID | set NAME NETNSID | [-all] delete [NAME]\n\
             \x20      identify [PID] | pids NAME | [-all] exec [NAME] cmd ... | list-id [target-nsid ID] [nsid ID]",
            WRONG,
        )),
    };
    ctx.page.flush()?;
    result.map(|()| 0)
}

/// The namespaces' directory as the scope sees it.
fn directory(ctx: &Ctx<'_>) -> PathBuf {
    ctx.scope.root.join("run/netns")
}

fn list(ctx: &mut Ctx<'_>) -> Result<(), ToolError> {
    ctx.page.list("");
    for name in netns_names(&ctx.scope) {
        ctx.page.open("");
        ctx.page.put("name", format_args!("{name}"), &name);
        if let Some(id) = netns_id(&ctx.collector, &directory(ctx).join(&name)) {
            ctx.page.put("id", format_args!(" (id: {id})"), id);
        }
        ctx.page.say("\n");
        ctx.page.close();
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

fn list_ids(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let (mut target, mut only) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "target-nsid" => {
                target = Some(words::number::<u32>(words.value()?, "\"target-nsid\" value is invalid\n")?)
            }
            "nsid" => only = Some(words::number::<u32>(words.value()?, "\"nsid\" value is invalid\n")?),
            other => return Err(wrong(other, "unknown argument\n")),
        }
    }
    ctx.load_namespaces();
    let mut request = Builder::with_header(&[0; 4]);
    if let Some(id) = target {
        request.u32(NETNSA_TARGET_NSID, id);
    }
    let replies = match only {
        Some(id) => {
            request.u32(NETNSA_NSID, id);
            ctx.ask(RTM_GETNSID, request)?
        }
        None => {
            let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
            ctx.gather(RTM_GETNSID, &request)?
        }
    };
    ctx.page.list("");
    for (_, payload) in &replies {
        print_id(&mut ctx.page, &ctx.look, payload, false)?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// `nsid 7 (iproute2 netns name: blue)`.
pub(super) fn print_id(
    page: &mut crate::iproute::Page<'_>,
    look: &crate::iproute::Look,
    payload: &[u8],
    deleted: bool,
) -> Result<(), ToolError> {
    let table: Table<'_, 6> = Table::after(payload, 4)?;
    page.open("");
    if deleted {
        page.flag("deleted", "Deleted ");
    }
    let id = table.i32(NETNSA_NSID)?.unwrap_or(-1);
    if id < 0 {
        page.put("nsid", format_args!("nsid unassigned "), "unassigned");
    } else {
        page.put("nsid", format_args!("nsid {id} "), id);
    }
    let current = table.i32(NETNSA_CURRENT_NSID)?;
    match current {
        Some(id) if id < 0 => {
            page.put("current-nsid", format_args!("current-nsid unassigned "), "unassigned")
        }
        Some(id) => page.put("current-nsid", format_args!("current-nsid {id} "), id),
        None => {}
    }
    if let Some(name) = look.namespace(current.unwrap_or(id)) {
        page.put("name", format_args!("(iproute2 netns name: {name})"), name);
    }
    page.say("\n");
    page.close();
    Ok(())
}

/// Prints the names a process's namespace goes by; an empty line if it has none.
fn identify(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let id = match words.next() {
        None => netns::current().map_err(|error| ToolError::failed(error.to_string(), 1))?,
        Some(word) => {
            let pid: u32 = word
                .parse()
                .map_err(|_| ToolError::usage(format!("Specified string '{word}' is not a pid"), 1))?;
            netns::of_process(pid).map_err(|error| {
                ToolError::failed(format!("Stat of netns failed: {}", error.errno.description()), 1)
            })?
        }
    };
    for name in netns_names(&ctx.scope) {
        let path = directory(ctx).join(&name);
        if NetnsRef::Path(path).open().is_ok_and(|own| own.id() == id) {
            ctx.page.text(format_args!("{name}"));
        }
    }
    ctx.page.say("\n");
    Ok(())
}

fn open(ctx: &Ctx<'_>, name: &str) -> Result<netns::Netns, ToolError> {
    NetnsRef::Path(directory(ctx).join(name)).open().map_err(|error| {
        ToolError::failed(format!("Cannot open network namespace: {}", error.errno.description()), 1)
    })
}

fn pids(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let name = words.next().ok_or_else(|| ToolError::usage("No netns name specified", 1))?;
    let id: NetnsId = open(ctx, name)?.id();
    let entries = std::fs::read_dir(&ctx.scope.proc).into_iter().flatten().flatten();
    for entry in entries {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if netns::of_process(pid).is_ok_and(|own| own == id) {
            ctx.page.text(format_args!("{pid}\n"));
        }
    }
    Ok(())
}

/// A refusal of a change in iproute2's words.
fn refused(what: &str, name: &str) -> impl FnOnce(ChangeError) -> ToolError {
    let text = format!("Cannot {what} namespace file \"{}/{name}\"", change::DIRECTORY);
    move |error| match error {
        ChangeError::File { errno, .. } => ToolError::failed(format!("{text}: {}", errno.description()), 1),
        other => ToolError::failed(other.to_string(), 1),
    }
}

fn checked<'w>(words: &mut Words<'w>) -> Result<&'w str, ToolError> {
    let name = words.next().ok_or_else(|| ToolError::usage("No netns name specified", WRONG))?;
    change::path(name).map_err(|error| ToolError::usage(error.to_string(), WRONG))?;
    Ok(name)
}

fn add(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let name = checked(&mut words)?;
    ctx.announce(&format!("make network namespace {name}"), Some(&format!("ip netns del {name}")))?;
    change::add(name).map_err(refused("create", name))
}

fn attach(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let name = checked(&mut words)?;
    let word = words.next().ok_or_else(|| ToolError::usage("No PID specified", WRONG))?;
    let pid = words::number(word, "invalid PID")?;
    let what = format!("name the network namespace of process {pid} {name}");
    ctx.announce(&what, Some(&format!("ip netns del {name}")))?;
    change::attach(name, pid).map_err(refused("create", name))
}

fn delete(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let names =
        if ctx.look.options.all { netns_names(&ctx.scope) } else { vec![checked(&mut words)?.to_owned()] };
    for name in names {
        ctx.announce(&format!("remove network namespace {name}; it ends with its last process"), None)?;
        change::delete(&name).map_err(refused("remove", &name))?;
    }
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    use std::os::fd::AsRawFd;
    let name = checked(&mut words)?;
    let word = words.next().ok_or_else(|| ToolError::usage("No nsid specified", WRONG))?;
    let id: i32 = match word {
        "auto" => -1,
        word => word.parse().map_err(|_| wrong(word, "Invalid \"netnsid\" value\n"))?,
    };
    let file = std::fs::File::open(directory(ctx).join(name)).map_err(|error| {
        let reason = netwhy_sys::Errno::from(&error).description();
        ToolError::failed(format!("Cannot open network namespace \"{name}\": {reason}"), 1)
    })?;
    ctx.announce(&format!("give network namespace {name} the id {word} here"), None)?;
    let mut message = Builder::with_header(&[0; 4]);
    message.i32(NETNSA_FD, file.as_raw_fd()).i32(NETNSA_NSID, id);
    ctx.change(RTM_NEWNSID, 0, message)
}

/// Replaces this program by another one inside a namespace; with `-all` runs it in each.
fn exec(session: &mut Session<'_>, options: &Options, rest: &[String]) -> Result<u8, ToolError> {
    if options.all {
        let command = rest.split_first().ok_or_else(|| ToolError::usage("No command specified", WRONG))?;
        let mut last = 0;
        for name in netns_names(&session.scope) {
            writeln!(session.out, "\nnetns: {name}")?;
            session.out.flush()?;
            last = inside(session, &name, command, false)?;
        }
        return Ok(last);
    }
    let (name, rest) =
        rest.split_first().ok_or_else(|| ToolError::usage("No netns name specified", WRONG))?;
    let command = rest.split_first().ok_or_else(|| ToolError::usage("No command specified", WRONG))?;
    session.out.flush()?;
    inside(session, name, command, true)
}

fn inside(
    session: &Session<'_>,
    name: &str,
    (program, arguments): (&String, &[String]),
    replace: bool,
) -> Result<u8, ToolError> {
    let path = session.scope.root.join("run/netns").join(name);
    let namespace = NetnsRef::Path(path).open().map_err(|error| {
        ToolError::failed(
            format!("Cannot open network namespace \"{name}\": {}", error.errno.description()),
            255,
        )
    })?;
    let mut command = Command::new(program);
    command.args(arguments);
    let etc = session.scope.root.join("etc/netns").join(name);
    let ended = namespace.run(|| {
        // /sys and /etc/netns/NAME are seen by the program only.
        prepare(&etc)?;
        if replace {
            return Err(Ended::NotStarted(command.exec()));
        }
        match command.status() {
            Ok(status) => Ok(status),
            Err(error) => Err(Ended::NotStarted(error)),
        }
    });
    let ended = ended.map_err(|error| ToolError::failed(error.to_string(), 1))?;
    match ended {
        Ok(status) => Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(Ended::NotStarted(error)) => {
            let reason = netwhy_sys::Errno::from(&error).description();
            Err(ToolError::failed(format!("exec of \"{program}\" failed: {reason}"), 255))
        }
        Err(Ended::Mounts(error)) => Err(ToolError::failed(error.to_string(), 1)),
    }
}

enum Ended {
    NotStarted(std::io::Error),
    Mounts(netwhy_sys::SysError),
}

impl From<netwhy_sys::SysError> for Ended {
    fn from(error: netwhy_sys::SysError) -> Self {
        Ended::Mounts(error)
    }
}

fn prepare(etc: &Path) -> Result<(), netwhy_sys::SysError> {
    isolate::own_mounts()?;
    Mount::make_slave(Path::new("/"))?.apply()?;
    let sys = Path::new("/sys");
    let _ = mount::unmount(sys);
    // Some containers allow no other /sys; the program then sees the old one.
    let _ = Mount::sysfs(sys)?.apply();
    for entry in std::fs::read_dir(etc).into_iter().flatten().flatten() {
        let target = Path::new("/etc").join(entry.file_name());
        if target.exists() {
            Mount::bind(&entry.path(), &target)?.apply()?;
        }
    }
    Ok(())
}
