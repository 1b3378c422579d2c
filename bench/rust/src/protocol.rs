use crate::client::{Caller, Outcome};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::BufRead;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Says that the program is ready, and answers commands until stdin ends.
pub async fn obey(ports: Vec<u16>, caller: Option<Caller>) {
    println!("{}", json!({"ready": true, "ports": ports}));
    let (sender, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => answer(&command, caller.as_ref()).await,
            Err(error) => json!({"error": error.to_string()}),
        };
        println!("{answer}");
    }
}

async fn answer(command: &Value, caller: Option<&Caller>) -> Value {
    let number = |name: &str| command[name].as_f64().unwrap_or(0.0);
    let (bytes, messages) = (number("bytes") as usize, number("messages") as usize);
    let what = command["do"].as_str().unwrap_or("");
    if what == "usage" {
        return json!({"cpuMs": cpu_ms(), "heapBytes": null, "rssBytes": resident_bytes()});
    }
    let Some(caller) = caller else {
        return json!({"error": format!("a server cannot {what}")});
    };
    match what {
        "unary" => run(command, async |index| caller.unary(index).await).await,
        "echo" => run(command, async |_| caller.echo(bytes).await).await,
        "download" => run(command, async |_| caller.download(messages, bytes).await).await,
        "chat" => run(command, async |_| caller.chat(messages, bytes).await).await,
        "hold" => run(command, async |_| caller.hold().await).await,
        "release" => {
            caller.release().await;
            json!({"released": true})
        }
        "connect" => {
            let targets = command["targets"].as_array().cloned().unwrap_or_default();
            let targets: Vec<String> = targets.iter().filter_map(|target| target.as_str().map(String::from)).collect();
            match caller.connect(&targets).await {
                Ok(()) => json!({"connected": true}),
                Err(error) => json!({"error": error.to_string()}),
            }
        }
        _ => json!({"error": format!("unknown command {what}")}),
    }
}

/// Makes calls, as many at a time as is asked for, until they are enough or the time is over.
async fn run(command: &Value, call: impl AsyncFn(usize) -> Outcome) -> Value {
    let number = |name: &str| command[name].as_f64().unwrap_or(0.0);
    let calls = if command["do"] == "hold" { number("streams") } else { number("calls") } as usize;
    let limit = Duration::from_secs_f64(number("limitMs") / 1000.0);
    let issued = Cell::new(0);
    let failures = Cell::new(0);
    let first_error = RefCell::new(None);
    let latencies = RefCell::new(Vec::with_capacity(calls));
    let (cpu, start) = (cpu_ms(), Instant::now());
    let workers = (0..number("inFlight") as usize).map(|_| async {
        loop {
            let at = Instant::now();
            if at - start >= limit || issued.get() >= calls {
                return;
            }
            issued.set(issued.get() + 1);
            if let Err(error) = call(issued.get()).await {
                failures.set(failures.get() + 1);
                first_error.borrow_mut().get_or_insert(error.to_string());
            }
            latencies.borrow_mut().push(at.elapsed().as_secs_f64() * 1000.0);
        }
    });
    join_all(workers).await;
    let wall_ms = start.elapsed().as_secs_f64() * 1000.0;
    let cpu = cpu_ms() - cpu;
    let mut latencies = latencies.take();
    latencies.sort_by(f64::total_cmp);
    let at = |index: usize| latencies.get(index).copied().unwrap_or(0.0);
    let mut phase = json!({
        "calls": latencies.len(), "failures": failures.get(), "wallMs": wall_ms, "cpuMs": cpu,
        "p50": at(latencies.len() / 2), "p99": at(latencies.len() * 99 / 100),
    });
    if let Some(error) = first_error.take() {
        phase["error"] = error.into();
    }
    phase
}

/// user + system time of the whole process so far.
fn cpu_ms() -> f64 {
    // SAFETY: rusage is plain numbers, for which zeros are valid, and getrusage writes nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1000.0 + time.tv_usec as f64 / 1000.0;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

/// The second field of statm, in pages (proc(5)).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: sysconf reads a constant of the system.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64)
}
