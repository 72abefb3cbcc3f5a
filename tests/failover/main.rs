//! A cluster of three that is hurt in every way while eight threads work on it, and the histories of what they did.
//!
//! `scripts/soak.sh` sets `RDZV_HISTORIES=<n>` to record that many histories for each fault instead of one,
//! `RDZV_FAULTS=<part of a name>` to choose faults, and `RDZV_HOLD_MS=<ms>` for how long a member is hurt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod load;
mod members;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use load::Load;
use rustix::process::Signal;
use support::Api;
use support::etcd::Cluster;
use support::fault::{self, Fault, Rule};

/// How a cluster is hurt and healed. Returns when all members are well again.
type Hurt = fn(&Cluster);

const HURTS: &[(&str, Hurt)] = &[
    ("kill the leader", |cluster| kill(cluster, cluster.leader())),
    ("kill a follower", |cluster| kill(cluster, cluster.follower())),
    ("stop the leader", |cluster| stop(cluster, cluster.leader())),
    ("stop a follower", |cluster| stop(cluster, cluster.follower())),
    ("isolate the leader", |cluster| isolate(cluster, cluster.leader())),
    ("isolate a follower", |cluster| isolate(cluster, cluster.follower())),
    ("cut the clients off", cut_off),
    ("lose answers", lose_answers),
    ("rolling restart", rolling_restart),
];

fn kill(cluster: &Cluster, at: usize) {
    cluster.kill(at);
    sleep(hold());
    cluster.restart(at);
}

/// How long a member is gone, stopped or cut off.
fn hold() -> Duration {
    Duration::from_millis(number("RDZV_HOLD_MS").unwrap_or(1500))
}

fn stop(cluster: &Cluster, at: usize) {
    cluster.signal(at, Signal::STOP);
    sleep(hold());
    cluster.signal(at, Signal::CONT);
    cluster.await_healthy(at);
}

fn isolate(cluster: &Cluster, at: usize) {
    cluster.isolate(at);
    sleep(hold());
    cluster.rejoin();
    cluster.await_healthy(at);
}

/// Two members go silent to the clients, one after the other comes back.
fn cut_off(cluster: &Cluster) {
    cluster.proxy(0).freeze(true);
    sleep(hold() / 2);
    cluster.proxy(1).freeze(true);
    sleep(hold() / 2);
    cluster.proxy(0).freeze(false);
    sleep(hold() / 2);
    cluster.proxy(1).freeze(false);
}

/// Of the writes some lose their answer, some are lost on the way.
fn lose_answers(cluster: &Cluster) {
    for round in 0..12 {
        for at in 0..cluster.len() {
            let fault = [Fault::DropReply, Fault::ResetBefore, Fault::ResetAfter, Fault::ResetMidBody][round % 4];
            cluster.proxy(at).arm(Rule::once(fault::write, fault));
        }
        sleep(hold() / 12);
    }
    (0..cluster.len()).for_each(|at| cluster.proxy(at).heal());
}

fn rolling_restart(cluster: &Cluster) {
    for at in 0..cluster.len() {
        cluster.terminate(at);
        cluster.restart(at);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One cluster at a time, or the machine is too busy for elections.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn histories_under_faults_are_linearizable() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = std::env::var("RDZV_FAULTS").ok();
    let count = number("RDZV_HISTORIES").unwrap_or(1);
    let directory = load::histories();
    for api in Api::all() {
        let cluster = Cluster::start(3);
        for (name, hurt) in HURTS.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| name.contains(wanted)))
        {
            let mut paths = Vec::new();
            let mut totals = [0; 5];
            for number in 0..count {
                let load = Load::run(&cluster.endpoints(), api, || {
                    sleep(Duration::from_millis(250));
                    hurt(&cluster);
                    sleep(Duration::from_millis(500));
                });
                // A soak shares the machine with what else runs there, and only says how late calls were.
                if count == 1 {
                    load.assert_in_time(Duration::from_millis(100));
                }
                let path = directory.join(format!("{}-{}-{number}.jsonl", api.name(), name.replace(' ', "-")));
                load.write(&path);
                paths.push(path);
                let tally = &load.tally;
                for (total, count) in totals.iter_mut().zip([&tally.ok, &tally.unknown, &tally.failed]) {
                    *total += count.load(Ordering::SeqCst);
                }
                totals[3] = totals[3].max(tally.longest_gap.load(Ordering::SeqCst));
                totals[4] = totals[4].max(tally.latest.load(Ordering::SeqCst));
            }
            let said = load::check(&paths);
            let [ok, unknown, failed, gap, late] = totals;
            println!(
                "{}, {name}: {} ({ok} ok, {unknown} unknown, {failed} failed; longest gap {gap} ms, {late} ms late)",
                api.name(),
                said.trim()
            );
            assert!(ok > 100, "there was hardly any load: {ok} calls");
            paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        }
    }
}

/// The tests' own check: a history that is wrong is found out.
#[test]
fn the_checker_finds_a_lost_update() {
    let path = load::histories().join("wrong.jsonl");
    let lines = [
        r#"{"client":0,"op":"add","key":"counter","amount":1,"sum":1,"start":0,"end":10}"#,
        r#"{"client":1,"op":"add","key":"counter","amount":1,"sum":1,"start":20,"end":30}"#,
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let failed = std::panic::catch_unwind(|| load::check(std::slice::from_ref(&path)));
    let text = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("1 illegal"), "{text}");
    std::fs::write(&path, lines[0]).unwrap();
    assert!(load::check(&[path]).contains("0 illegal, 0 undecided"));
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (run(), start.elapsed())
}
