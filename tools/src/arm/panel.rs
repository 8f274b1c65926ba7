//! What there is to see of an arm, as lines of text or JSON.

use serde_json::{Value, json};
use wink_runtime::arm::{ArmClient, ArmDescription, GRIPPER_NAME};

/// Name, unit and limits of a joint on the wire.
pub struct JointInfo<'a> {
    pub name: &'a str,
    pub unit: &'static str,
    pub min: f64,
    pub max: f64,
    /// Greatest speed.
    pub velocity: f64,
}

/// Joints in wire order, a gripper last.
pub fn joints(arm: &ArmDescription) -> Vec<JointInfo<'_>> {
    let gripper = arm.gripper().map(|gripper| JointInfo {
        name: GRIPPER_NAME,
        unit: "m",
        min: gripper.min_m,
        max: gripper.max_m,
        velocity: gripper.velocity_m_s,
    });
    arm.joints()
        .iter()
        .map(|joint| JointInfo {
            name: &joint.name,
            unit: "rad",
            min: joint.min_rad,
            max: joint.max_rad,
            velocity: joint.velocity_rad_s,
        })
        .chain(gripper)
        .collect()
}

/// The arm, its joints and the link. `chosen` is marked.
pub fn lines(client: &ArmClient, arm: &ArmDescription, chosen: Option<usize>) -> Vec<String> {
    let mut lines = vec![head(client), String::new()];
    lines.push(format!(
        "  {:<14}{:>10}{:>10}{:>10}{:>9}{:>8}{:>7}  {}",
        "joint", "position", "min", "max", "speed", "load", "temp", "alerts"
    ));
    for (index, joint) in joints(arm).iter().enumerate() {
        let mark = if chosen == Some(index) { '>' } else { ' ' };
        let (position, speed, load) = motion(client, index);
        let (temperature, alerts) = trouble(client, index);
        lines.push(format!(
            "{mark} {:<14}{:>10}{:>10}{:>10}{:>9}{:>8}{:>7}  {alerts}",
            joint.name,
            number(position, 4),
            number(Some(joint.min), 3),
            number(Some(joint.max), 3),
            number(speed, 2),
            load.map_or("-".to_owned(), |load| format!("{:.0}%", load * 100.0)),
            temperature.map_or("-".to_owned(), |celsius| format!("{celsius:.0} C")),
        ));
    }
    lines.push(String::new());
    lines.extend(link(client));
    lines
}

fn head(client: &ArmClient) -> String {
    let Some(hello) = client.hello() else {
        return "not connected".to_owned();
    };
    let named = |name: &str, otherwise: &str| {
        if name.is_empty() {
            otherwise.to_owned()
        } else {
            name.to_owned()
        }
    };
    let state = client.telemetry().map_or(String::new(), |telemetry| {
        let why = match (telemetry.hold.name(), telemetry.fault.name()) {
            ("none", "none") => String::new(),
            ("none", fault) => format!(" ({fault})"),
            (hold, _) => format!(" ({hold})"),
        };
        format!(", {}{why}", telemetry.state.name().to_uppercase())
    });
    let volts = supply_v(client).map_or(String::new(), |volts| format!(", {volts:.1} V"));
    format!(
        "{} drives {}, protocol version {}{state}{volts}",
        named(&hello.image, "a board"),
        named(&hello.arm, "an arm"),
        hello.version
    )
}

fn motion(client: &ArmClient, joint: usize) -> (Option<f64>, Option<f64>, Option<f64>) {
    let telemetry = client.telemetry();
    let value = |values: Option<&f32>| values.map(|value| f64::from(*value));
    (
        value(telemetry.and_then(|telemetry| telemetry.positions.get(joint))),
        value(telemetry.and_then(|telemetry| telemetry.velocities.get(joint))),
        value(telemetry.and_then(|telemetry| telemetry.loads.get(joint))),
    )
}

fn trouble(client: &ArmClient, joint: usize) -> (Option<f64>, String) {
    let Some(health) = client.health() else {
        return (None, String::new());
    };
    let temperature = health.temperatures_c.get(joint).copied();
    let alerts = health.alerts.get(joint).map_or(String::new(), |alerts| {
        let names: Vec<String> = alerts
            .iter_names()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        names.join(" ")
    });
    (
        temperature.filter(|value| value.is_finite()).map(f64::from),
        alerts,
    )
}

/// The lowest that any servo says.
fn supply_v(client: &ArmClient) -> Option<f64> {
    let volts = client.health()?.voltages_v.iter();
    volts
        .filter(|value| value.is_finite())
        .map(|value| f64::from(*value))
        .reduce(f64::min)
}

fn link(client: &ArmClient) -> Vec<String> {
    let trips = client.round_trip();
    let ms = |us: u64| us as f64 / 1000.0;
    let counters = client.counters();
    let mut lines = vec![match trips.mean_us() {
        Some(mean_us) => format!(
            "link   round trip {:.1} ms (least {:.1}, mean {:.1}, most {:.1}; {} pings), clock {:+.1} ms within {:.1} ms",
            ms(trips.last_us),
            ms(trips.least_us),
            ms(mean_us),
            ms(trips.most_us),
            trips.count,
            trips.clock_offset_us as f64 / 1000.0,
            ms(trips.clock_error_us)
        ),
        None => "link   no ping answered yet".to_owned(),
    }];
    lines.push(format!(
        "       from the board: {} telemetry, {} lost, {} repeated, {} damaged",
        counters.telemetry, counters.lost, counters.repeated, counters.bad_lines
    ));
    if let Some(telemetry) = client.telemetry() {
        let board = telemetry.counters;
        lines.push(format!(
            "       to the board: {} setpoints accepted, {} refused; {} lost, {} repeated, {} damaged; servos: {} reads, {} writes failed",
            board.accepted,
            board.rejected(),
            board.lost,
            board.repeated,
            board.bad_lines,
            board.servo_reads_failed,
            board.servo_writes_failed
        ));
    }
    if let Some(health) = client.health() {
        lines.push(format!(
            "       loop: {} ticks, the longest lately {:.2} ms",
            health.ticks,
            f64::from(health.longest_tick_us) / 1000.0
        ));
    }
    lines
}

fn number(value: Option<f64>, digits: usize) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{value:.digits$}"),
        _ => "-".to_owned(),
    }
}

/// The same for programs.
pub fn json(client: &ArmClient, arm: &ArmDescription) -> Value {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let rows: Vec<Value> = joints(arm)
        .iter()
        .enumerate()
        .map(|(index, joint)| {
            let (position, speed, load) = motion(client, index);
            let (temperature, alerts) = trouble(client, index);
            json!({
                "name": joint.name,
                "unit": joint.unit,
                "min": joint.min,
                "max": joint.max,
                "position": finite(position),
                "velocity": finite(speed),
                "load": finite(load),
                "temperature_c": temperature,
                "alerts": alerts.split_whitespace().collect::<Vec<_>>(),
            })
        })
        .collect();
    let trips = client.round_trip();
    let counters = client.counters();
    json!({
        "image": client.hello().map(|hello| hello.image.as_str()),
        "arm": client.hello().map(|hello| hello.arm.as_str()),
        "version": client.hello().map(|hello| hello.version),
        "capabilities": client.hello().map(|hello| hello.capabilities.names().collect::<Vec<_>>()),
        "state": client.telemetry().map(|telemetry| telemetry.state.name()),
        "hold": client.telemetry().map(|telemetry| telemetry.hold.name()),
        "fault": client.telemetry().map(|telemetry| telemetry.fault.name()),
        "voltage_v": supply_v(client),
        "joints": rows,
        "link": {
            "round_trip_us": {
                "last": trips.last_us,
                "least": trips.least_us,
                "mean": trips.mean_us(),
                "most": trips.most_us,
                "pings": trips.count,
            },
            "clock_offset_us": trips.clock_offset_us,
            "clock_error_us": trips.clock_error_us,
            "telemetry": counters.telemetry,
            "lost": counters.lost,
            "repeated": counters.repeated,
            "bad_lines": counters.bad_lines,
        },
    })
}
