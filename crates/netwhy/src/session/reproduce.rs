//! The reproduction: a client tries as the victim would; a server or a router watches the client try.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netwhy_ask::connect::{self, Tried, Try};
use netwhy_ask::{Victim, Wait};
use netwhy_causes::case::Seen;
use netwhy_causes::engine::FlowPaths;
use netwhy_facts::attempt::Attempts;
use netwhy_facts::capture::FlowCapture;
use netwhy_facts::link::Links;
use netwhy_facts::names::NameAnswers;
use netwhy_facts::question::Role;
use netwhy_facts::resolver::Resolver;
use netwhy_facts::{Facts, Proto, Reading};

use super::Session;
use super::window::Window;

/// A neighbour that does not answer fails after three seconds; a bit more lets its errno arrive.
const PATIENCE: Duration = Duration::from_millis(3400);
/// How long a predicted local drop is given to be contradicted before the wait ends.
const ENOUGH_FOR_A_LOCAL_DROP: Duration = Duration::from_millis(300);
/// The first repetition of a SYN comes after a second; its failure to leave moves a counter.
const ENOUGH_WITHOUT_CAPTURE: Duration = Duration::from_millis(1300);
/// By when a request that left and was repeated is not going to be answered. A router that cannot resolve the target says
/// so after three seconds.
const ENOUGH_SILENCE: Duration = Duration::from_millis(3200);
/// How long a handshake or the first byte of an answer is waited for.
const ENOUGH_FOR_A_WORD: Duration = Duration::from_millis(2500);
/// How often a watching server or router looks.
const LOOK: Duration = Duration::from_millis(25);

impl Session {
    /// Asks the configured servers for the target's name.
    pub(super) fn names(&mut self, resolver: &Resolver) -> Reading<NameAnswers> {
        let wait = Wait { deadline: Instant::now() + PATIENCE, stop: &|| self.is_interrupted() };
        let family = self.question.family;
        let answers =
            netwhy_ask::names::resolve(&self.question.target.host, resolver, family, &self.budget, &wait);
        Reading::known(answers, "queries to each server", netwhy_sys::clock::monotonic())
    }

    /// Lets it happen once, and waits until it is decided.
    pub(super) fn reproduce(&mut self, paths: &[FlowPaths], window: &Window) {
        if self.question.role != Role::Client {
            self.watch(paths, window);
            return;
        }
        if self.options.passive || self.question.flows.is_empty() {
            return;
        }
        let tried = self.try_all(paths, window);
        let attempts = tried.iter().map(|t| t.attempt.clone()).collect();
        for (flow, t) in self.question.flows.iter_mut().zip(&tried) {
            if let Some(local) = t.attempt.local {
                flow.sport = Some(local.port());
                flow.src.get_or_insert(local.ip());
            }
        }
        self.facts.put(Reading::known(Attempts(attempts), "connect(2)", netwhy_sys::clock::monotonic()));
        self.speak(tried);
    }

    fn try_all(&self, paths: &[FlowPaths], window: &Window) -> Vec<Tried> {
        let began = Instant::now();
        let blocked_here = !paths.is_empty()
            && paths.iter().all(|p| {
                p.forward.is_certain()
                    && p.forward.blocker().is_some()
                    && !matches!(p.forward.end, netwhy_walk::End::Unresolved { .. })
            });
        let enough =
            if window.capture.so_far().is_some() { ENOUGH_FOR_A_LOCAL_DROP } else { ENOUGH_WITHOUT_CAPTURE };
        let stop = || {
            self.is_interrupted()
                || (blocked_here && began.elapsed() > enough && !self.left_all_the_same(paths, window))
                || (began.elapsed() > ENOUGH_SILENCE && self.left_unanswered(paths, window))
        };
        let deadline = (began + PATIENCE).min(self.deadline());
        let wait = Wait { deadline, stop: &stop };
        let victim =
            Victim { mark: self.options.mark, device: self.options.dev.clone(), source: self.options.source };
        if self.question.target.proto == Proto::Icmp {
            let addresses: Vec<SocketAddr> =
                self.question.flows.iter().map(|f| self.socket_addr(f.dst, 0)).collect();
            return netwhy_ask::echo::run_scoped(&addresses, &victim, &self.budget, &wait);
        }
        let tries: Vec<Try> = self
            .question
            .flows
            .iter()
            .map(|f| Try {
                payload: connect::payload(self.question.target.app),
                ..Try::plain(f.proto, self.socket_addr(f.dst, f.dport))
            })
            .collect();
        connect::run(&tries, &victim, &self.budget, &wait)
    }

    pub(super) fn socket_addr(&self, dst: IpAddr, port: u16) -> SocketAddr {
        let mut addr = SocketAddr::new(dst, port);
        if let (SocketAddr::V6(v6), Some(zone)) = (&mut addr, &self.question.target.zone) {
            let index = self.facts.value::<Links>().and_then(|l| l.by_name(zone)).map(|l| l.index);
            v6.set_scope_id(index.or_else(|| zone.parse().ok()).unwrap_or(0));
        }
        addr
    }

    /// Whether packets leave although the prediction says they cannot.
    fn left_all_the_same(&self, paths: &[FlowPaths], window: &Window) -> bool {
        // Other connections to the target go on meanwhile; what opens one is most likely ours.
        let is_tcp = self.question.target.proto == netwhy_facts::Proto::Tcp;
        window.capture.so_far().is_some_and(|so_far| {
            self.seen_so_far(paths, so_far)
                .iter()
                .any(|s| if is_tcp { s.syn_out > 0 } else { s.requests_out > 0 })
        })
    }

    /// Whether every flow's request has left twice, and nothing came of it.
    fn left_unanswered(&self, paths: &[FlowPaths], window: &Window) -> bool {
        let unanswered = |s: &Seen| {
            s.syn_out > 1 && s.answers_in + s.resets_in == 0 && s.icmp_in.is_empty() && s.lost == 0
        };
        !paths.is_empty()
            && window
                .capture
                .so_far()
                .is_some_and(|so_far| self.seen_so_far(paths, so_far).iter().all(unanswered))
    }

    fn seen_so_far(&self, paths: &[FlowPaths], so_far: FlowCapture) -> Vec<Seen> {
        let mut facts = Facts::new();
        facts.put(Reading::known(so_far, "AF_PACKET", 0));
        paths
            .iter()
            .map(|p| Seen::of(&facts, &p.flow, &p.forward, self.question.role, self.question.from))
            .collect()
    }

    /// Watches the client's attempts until one is decided or the budget ends.
    fn watch(&mut self, paths: &[FlowPaths], window: &Window) {
        if window.capture.so_far().is_none() {
            // Without a capture only the counters can show an attempt; give the client time for one.
            std::thread::sleep(ENOUGH_WITHOUT_CAPTURE);
            return;
        }
        let deadline = (Instant::now() + PATIENCE).min(self.deadline());
        let mut decided: Option<Instant> = None;
        while Instant::now() < deadline && !self.is_interrupted() {
            // After the decision, a moment for what belongs to it: an ICMP error, a counter, a last packet.
            if decided.is_some_and(|at| at.elapsed() > Duration::from_millis(100)) {
                break;
            }
            let so_far = window.capture.so_far().unwrap_or_default();
            if decided.is_none() && self.seen_so_far(paths, so_far).iter().any(is_decided) {
                decided = Some(Instant::now());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What is spoken on top of a connection that stands: TLS, HTTP.
    fn speak(&mut self, tried: Vec<Tried>) {
        use netwhy_facts::question::App;
        let app = self.question.target.app;
        if !matches!(app, App::Tls | App::Http | App::Https) {
            return;
        }
        let Some(stream) = tried.into_iter().find_map(|t| t.stream) else { return };
        // What is left of the budget afterwards is for the experiments a silence calls for.
        let deadline = (Instant::now() + ENOUGH_FOR_A_WORD).min(self.deadline());
        let wait = Wait { deadline, stop: &|| self.is_interrupted() };
        let target = &self.question.target;
        let spoken = netwhy_ask::speak(stream, target, self.started_unix_s, &self.budget, &wait);
        if let Some(tls) = spoken.tls {
            self.facts.put(tls);
        }
        if let Some(http) = spoken.http {
            self.facts.put(http);
        }
    }
}

/// Whether what was seen of a flow decides its fate: it stands, it was refused, or a repeated request went unanswered.
fn is_decided(s: &Seen) -> bool {
    s.acks > 0
        || s.resets_in + s.resets_out > 0
        // Without a request in the window an error tells of one from before.
        || (s.requests_in > 0 && !(s.icmp_in.is_empty() && s.icmp_out.is_empty()))
        || (s.syn_in > 1 && s.answers_in + s.answers_out == 0)
        || (s.syn_in > 2)
}
