//! A board's message, to JSON and back. A host passes over fields that it does not know.

use super::cursor::{Cursor, JsonError};
use super::host_body::read_floats;
use super::writer::Writer;
use super::{
    BoardMessage, Capabilities, Counters, Fault, Health, Hello, HoldReason, Name, Pong, Refusal,
    State, Telemetry,
};
use crate::JointVec;
use crate::servo::Alerts;

pub(super) fn write(message: &BoardMessage, writer: &mut Writer<'_>) {
    match message {
        BoardMessage::Hello(hello) => write_hello(hello, writer),
        BoardMessage::Pong(pong) => write_pong(pong, writer),
        BoardMessage::Telemetry(telemetry) => write_telemetry(telemetry, writer),
        BoardMessage::Health(health) => write_health(health, writer),
    }
    writer.text("}}");
}

fn write_hello(hello: &Hello, writer: &mut Writer<'_>) {
    writer.text(r#"{"hello":{"#);
    writer.key("answers");
    writer.whole(hello.answers);
    writer.key("version");
    writer.whole(hello.version);
    writer.key("joints");
    writer.whole(hello.joints);
    writer.key("description_hash");
    writer.whole(hello.description_hash);
    writer.key("time_us");
    writer.whole(hello.time_us);
    writer.key("refused");
    writer.string(hello.refused.name());
    writer.key("arm");
    writer.string(&hello.arm);
    writer.key("image");
    writer.string(&hello.image);
    writer.key("capabilities");
    writer.array(hello.capabilities.names(), |writer, name| {
        writer.string(name);
    });
}

fn write_pong(pong: &Pong, writer: &mut Writer<'_>) {
    writer.text(r#"{"pong":{"#);
    writer.key("host_time_us");
    writer.whole(pong.host_time_us);
    writer.key("received_us");
    writer.whole(pong.received_us);
    writer.key("time_us");
    writer.whole(pong.time_us);
}

fn write_telemetry(telemetry: &Telemetry, writer: &mut Writer<'_>) {
    writer.text(r#"{"telemetry":{"#);
    writer.key("time_us");
    writer.whole(telemetry.time_us);
    writer.key("state");
    writer.string(telemetry.state.name());
    writer.key("hold");
    writer.string(telemetry.hold.name());
    writer.key("fault");
    writer.string(telemetry.fault.name());
    writer.key("positions");
    writer.floats(&telemetry.positions);
    writer.key("velocities");
    writer.floats(&telemetry.velocities);
    writer.key("loads");
    writer.floats(&telemetry.loads);
    writer.key("speed");
    writer.float(telemetry.speed);
    writer.key("last_setpoint_seq");
    writer.whole(telemetry.last_setpoint_seq);
    writer.key("counters");
    writer.array(telemetry.counters.to_array(), Writer::whole);
}

fn write_health(health: &Health, writer: &mut Writer<'_>) {
    writer.text(r#"{"health":{"#);
    writer.key("time_us");
    writer.whole(health.time_us);
    writer.key("temperatures_c");
    writer.floats(&health.temperatures_c);
    writer.key("voltages_v");
    writer.floats(&health.voltages_v);
    writer.key("currents_a");
    writer.floats(&health.currents_a);
    writer.key("alerts");
    writer.array(&health.alerts, |writer, alerts| writer.whole(alerts.bits()));
    writer.key("ticks");
    writer.whole(health.ticks);
    writer.key("longest_tick_us");
    writer.whole(health.longest_tick_us);
}

pub(super) fn read(seq: u32, cursor: &mut Cursor<'_>) -> Result<BoardMessage, JsonError> {
    let mut found = None;
    cursor.object(|name, cursor| {
        let message = match name {
            _ if found.is_some() => return Err(JsonError::Unknown),
            b"hello" => BoardMessage::Hello(read_hello(seq, cursor)?),
            b"pong" => BoardMessage::Pong(read_pong(seq, cursor)?),
            b"telemetry" => BoardMessage::Telemetry(read_telemetry(seq, cursor)?),
            b"health" => BoardMessage::Health(read_health(seq, cursor)?),
            _ => return Err(JsonError::Unknown),
        };
        found = Some(message);
        Ok(())
    })?;
    found.ok_or(JsonError::Missing)
}

fn read_hello(seq: u32, cursor: &mut Cursor<'_>) -> Result<Hello, JsonError> {
    let (mut answers, mut version, mut joints) = (None, None, None);
    let (mut hash, mut time) = (None, None);
    let mut refused = Refusal::None;
    let (mut arm, mut image) = (Name::new(), Name::new());
    let mut capabilities = Capabilities::empty();
    cursor.object(|name, cursor| {
        match name {
            b"answers" => answers = Some(cursor.whole()?),
            b"version" => version = Some(cursor.whole()?),
            b"joints" => joints = Some(cursor.whole()?),
            b"description_hash" => hash = Some(cursor.whole()?),
            b"time_us" => time = Some(cursor.u64()?),
            b"refused" => refused = Refusal::read(cursor)?,
            b"arm" => arm = read_name(cursor)?,
            b"image" => image = read_name(cursor)?,
            b"capabilities" => capabilities = Capabilities::read(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(Hello {
        seq,
        answers: answers.ok_or(JsonError::Missing)?,
        version: version.ok_or(JsonError::Missing)?,
        joints: joints.ok_or(JsonError::Missing)?,
        description_hash: hash.ok_or(JsonError::Missing)?,
        time_us: time.ok_or(JsonError::Missing)?,
        refused,
        arm,
        image,
        capabilities,
    })
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<Name, JsonError> {
    let text = core::str::from_utf8(cursor.string()?).map_err(|_| JsonError::Syntax)?;
    Ok(name(text))
}

/// As much of `text` as a name holds; what would need an escape becomes `?`.
pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::new();
    for character in text.chars() {
        let plain = !(character.is_ascii_control() || matches!(character, '"' | '\\'));
        if name.push(if plain { character } else { '?' }).is_err() {
            break;
        }
    }
    name
}

fn read_pong(seq: u32, cursor: &mut Cursor<'_>) -> Result<Pong, JsonError> {
    let (mut host, mut received, mut time) = (None, None, None);
    cursor.object(|name, cursor| {
        match name {
            b"host_time_us" => host = Some(cursor.u64()?),
            b"received_us" => received = Some(cursor.u64()?),
            b"time_us" => time = Some(cursor.u64()?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(Pong {
        seq,
        host_time_us: host.ok_or(JsonError::Missing)?,
        received_us: received.ok_or(JsonError::Missing)?,
        time_us: time.ok_or(JsonError::Missing)?,
    })
}

fn read_telemetry(seq: u32, cursor: &mut Cursor<'_>) -> Result<Telemetry, JsonError> {
    let (mut time, mut state, mut hold, mut fault) = (None, None, None, None);
    let (mut positions, mut velocities, mut loads) = (None, None, None);
    let (mut speed, mut last_setpoint, mut counters) = (None, None, None);
    cursor.object(|name, cursor| {
        match name {
            b"time_us" => time = Some(cursor.u64()?),
            b"state" => state = Some(State::read(cursor)?),
            b"hold" => hold = Some(HoldReason::read(cursor)?),
            b"fault" => fault = Some(Fault::read(cursor)?),
            b"positions" => positions = Some(read_floats(cursor)?),
            b"velocities" => velocities = Some(read_floats(cursor)?),
            b"loads" => loads = Some(read_floats(cursor)?),
            b"speed" => speed = Some(cursor.f32()?),
            b"last_setpoint_seq" => last_setpoint = Some(cursor.whole()?),
            b"counters" => counters = Some(read_counters(cursor)?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(Telemetry {
        seq,
        time_us: time.ok_or(JsonError::Missing)?,
        state: state.ok_or(JsonError::Missing)?,
        hold: hold.ok_or(JsonError::Missing)?,
        fault: fault.ok_or(JsonError::Missing)?,
        positions: positions.ok_or(JsonError::Missing)?,
        velocities: velocities.ok_or(JsonError::Missing)?,
        loads: loads.ok_or(JsonError::Missing)?,
        speed: speed.ok_or(JsonError::Missing)?,
        last_setpoint_seq: last_setpoint.ok_or(JsonError::Missing)?,
        counters: counters.ok_or(JsonError::Missing)?,
    })
}

fn read_counters(cursor: &mut Cursor<'_>) -> Result<Counters, JsonError> {
    let mut values = [0; Counters::COUNT];
    let mut slots = values.iter_mut();
    cursor.array(|cursor| {
        *slots.next().ok_or(JsonError::TooLong)? = cursor.whole()?;
        Ok(())
    })?;
    match slots.next() {
        None => Ok(Counters::from_array(values)),
        Some(_) => Err(JsonError::Missing),
    }
}

fn read_health(seq: u32, cursor: &mut Cursor<'_>) -> Result<Health, JsonError> {
    let (mut time, mut ticks, mut longest) = (None, None, None);
    let (mut temperatures, mut voltages, mut currents) = (None, None, None);
    let mut alerts = heapless::Vec::new();
    cursor.object(|name, cursor| {
        match name {
            b"time_us" => time = Some(cursor.u64()?),
            b"temperatures_c" => temperatures = Some(read_floats(cursor)?),
            b"voltages_v" => voltages = Some(read_floats(cursor)?),
            b"currents_a" => currents = Some(read_floats(cursor)?),
            b"alerts" => cursor.array(|cursor| {
                let bits = Alerts::from_bits_truncate(cursor.whole()?);
                alerts.push(bits).map_err(|_| JsonError::TooLong)
            })?,
            b"ticks" => ticks = Some(cursor.whole()?),
            b"longest_tick_us" => longest = Some(cursor.whole()?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    let some = |values: Option<JointVec>| values.ok_or(JsonError::Missing);
    Ok(Health {
        seq,
        time_us: time.ok_or(JsonError::Missing)?,
        temperatures_c: some(temperatures)?,
        voltages_v: some(voltages)?,
        currents_a: some(currents)?,
        alerts,
        ticks: ticks.ok_or(JsonError::Missing)?,
        longest_tick_us: longest.ok_or(JsonError::Missing)?,
    })
}
