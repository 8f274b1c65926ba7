//! An adapter that is pulled and plugged in again, while the arm is disarmed and while it is armed.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wink_board_linux::{BoardFile, LinuxBoard, Pty, Received};
use wink_firmware::wire::State;
use wink_runtime::arm::ArmClient;
use wink_runtime::clock::Clock;
use wink_sim::kit::Kit;
use wink_sim::setup::SO101;

/// Longest wait for anything that has no time of its own.
const PATIENCE_US: u64 = 60_000_000;

/// A kit in real time behind a pseudo-terminal that can be pulled.
struct Table {
    adapter: Arc<Mutex<Option<Pty>>>,
    link: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Table {
    fn start(link: &Path) -> Self {
        let mut kit = Kit::assembled(&SO101, &SO101.arm()).unwrap();
        // Uncalibrated, its encoders in the middle of their turn, as the arm's file takes them to be.
        for name in SO101.arm().wire_names() {
            kit.obey(&format!("mount {name} 2048")).unwrap();
        }
        let adapter = Arc::new(Mutex::new(Some(Pty::create(link).unwrap())));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (adapter, stop) = (Arc::clone(&adapter), Arc::clone(&stop));
            move || {
                let start = Instant::now();
                let (mut heard, mut said) = ([0; 256], vec![]);
                while !stop.load(Ordering::Relaxed) {
                    let now_us = || start.elapsed().as_micros() as u64;
                    if let Some(pty) = adapter.lock().unwrap().as_mut() {
                        if let Received::Bytes(count) = pty.receive(&mut heard).unwrap() {
                            kit.receive(now_us(), &heard[..count]);
                        }
                        kit.send(now_us(), &mut said);
                        pty.send(&said).unwrap();
                    }
                    said.clear();
                    kit.pass(now_us());
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self {
            adapter,
            link: link.to_owned(),
            stop,
            thread: Some(thread),
        }
    }

    fn pull(&self) {
        *self.adapter.lock().unwrap() = None;
    }

    fn plug(&self) {
        *self.adapter.lock().unwrap() = Some(Pty::create(&self.link).unwrap());
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn board(link: &Path) -> LinuxBoard {
    let text = format!(
        "format = 1\nname = \"bench\"\nrate_hz = 100\n[serial]\nport = \"{}\"\nbaud = 1000000\nanswer_timeout_us = 100000\n",
        link.display()
    );
    LinuxBoard::start(&SO101.arm(), &BoardFile::from_toml(&text).unwrap()).unwrap()
}

/// Polls until `done`; the time that it took.
fn until(
    client: &mut ArmClient,
    board: &mut LinuxBoard,
    what: &str,
    done: impl Fn(&ArmClient, &LinuxBoard) -> bool,
) -> Duration {
    let start = Instant::now();
    while !done(client, board) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        let now_us = board.now_us() + 5_000;
        board.sleep_until(now_us);
        client.poll(board, now_us).unwrap();
    }
    start.elapsed()
}

#[test]
fn it_is_told_within_a_second_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("adapter");
    let table = Table::start(&link);
    let arm = SO101.arm();
    let mut board = board(&link);
    let mut client = ArmClient::new(&arm);
    client.greet(&mut board, PATIENCE_US).unwrap();
    assert_eq!(board.trouble(), None);

    // Disarmed: where the arm was is not told any more.
    table.pull();
    let took = until(&mut client, &mut board, "pulled", |client, board| {
        board.trouble().is_some() && client.measured().is_none()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    let told = board.trouble().unwrap();
    assert!(
        told.contains(link.to_str().unwrap()) && told.contains("plug the adapter in again"),
        "{told}"
    );
    assert_eq!(client.telemetry().unwrap().state, State::Disarmed);
    table.plug();
    until(&mut client, &mut board, "back", |client, board| {
        board.trouble().is_none() && client.measured().is_some()
    });

    // Armed: a fault, which is cleared once the adapter is back.
    client.arm(&mut board, PATIENCE_US).unwrap();
    table.pull();
    let took = until(&mut client, &mut board, "pulled again", |client, board| {
        board.trouble().is_some()
            && client
                .telemetry()
                .is_some_and(|telemetry| telemetry.state == State::Fault)
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    table.plug();
    until(&mut client, &mut board, "back again", |client, board| {
        board.trouble().is_none() && client.measured().is_some()
    });
    client.clear_fault(&mut board).unwrap();
    until(&mut client, &mut board, "cleared", |client, _| {
        client
            .telemetry()
            .is_some_and(|telemetry| telemetry.state == State::Holding)
    });
    client.arm(&mut board, PATIENCE_US).unwrap();
}
