//! A host's message, to JSON and back. Fields that are not known are refused, except in a hello,
//! which a later version must be able to extend.

use super::cursor::{Cursor, JsonError};
use super::writer::Writer;
use super::{Command, HostHello, Setpoint};
use crate::JointVec;

/// Commands that are one word.
const WORDS: [(&str, Command); 5] = [
    ("arm", Command::Arm),
    ("disarm", Command::Disarm),
    ("power_down", Command::PowerDown),
    ("hold", Command::Hold),
    ("clear_fault", Command::ClearFault),
];

/// The version whose hello was a word.
const FIRST_HELLO: HostHello = HostHello {
    version: 1,
    description_hash: 0,
};

pub(super) fn write(command: &Command, writer: &mut Writer<'_>) {
    match command {
        Command::Hello(hello) => {
            writer.text(r#"{"hello":{"#);
            writer.key("version");
            writer.whole(hello.version);
            writer.key("description_hash");
            writer.whole(hello.description_hash);
            writer.text("}}");
        }
        Command::Ping { host_time_us } => {
            writer.text(r#"{"ping":{"#);
            writer.key("host_time_us");
            writer.whole(*host_time_us);
            writer.text("}}");
        }
        Command::Speed { scale } => {
            writer.text(r#"{"speed":{"#);
            writer.key("scale");
            writer.float(*scale);
            writer.text("}}");
        }
        Command::Setpoint(setpoint) => {
            writer.text(r#"{"setpoint":{"#);
            writer.key("deadline_us");
            writer.whole(setpoint.deadline_us);
            writer.key("positions");
            writer.floats(&setpoint.positions);
            if setpoint.held {
                writer.key("held");
                writer.text("true");
            }
            writer.text("}}");
        }
        word => {
            let name = WORDS.iter().find(|(_, command)| command == word);
            writer.string(name.map_or("", |(name, _)| *name));
        }
    }
}

pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Command, JsonError> {
    if cursor.peek() == Some(b'"') {
        return read_word(cursor);
    }
    let mut found = None;
    cursor.object(|name, cursor| {
        let command = match name {
            _ if found.is_some() => return Err(JsonError::Unknown),
            b"hello" => Command::Hello(read_hello(cursor)?),
            b"ping" => read_ping(cursor)?,
            b"speed" => read_speed(cursor)?,
            b"setpoint" => Command::Setpoint(read_setpoint(cursor)?),
            _ => return Err(JsonError::Unknown),
        };
        found = Some(command);
        Ok(())
    })?;
    found.ok_or(JsonError::Missing)
}

fn read_word(cursor: &mut Cursor<'_>) -> Result<Command, JsonError> {
    let word = cursor.string()?;
    if word == b"hello" {
        return Ok(Command::Hello(FIRST_HELLO));
    }
    WORDS
        .iter()
        .find(|(name, _)| name.as_bytes() == word)
        .map(|(_, command)| command.clone())
        .ok_or(JsonError::Unknown)
}

fn read_hello(cursor: &mut Cursor<'_>) -> Result<HostHello, JsonError> {
    let (mut version, mut hash) = (None, None);
    cursor.object(|name, cursor| {
        match name {
            b"version" => version = Some(cursor.whole()?),
            b"description_hash" => hash = Some(cursor.whole()?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(HostHello {
        version: version.ok_or(JsonError::Missing)?,
        description_hash: hash.unwrap_or(0),
    })
}

fn read_ping(cursor: &mut Cursor<'_>) -> Result<Command, JsonError> {
    let mut time = None;
    cursor.object(|name, cursor| {
        match name {
            b"host_time_us" => time = Some(cursor.u64()?),
            _ => return Err(JsonError::Unknown),
        }
        Ok(())
    })?;
    let host_time_us = time.ok_or(JsonError::Missing)?;
    Ok(Command::Ping { host_time_us })
}

fn read_speed(cursor: &mut Cursor<'_>) -> Result<Command, JsonError> {
    let mut scale = None;
    cursor.object(|name, cursor| {
        match name {
            b"scale" => scale = Some(cursor.f32()?),
            _ => return Err(JsonError::Unknown),
        }
        Ok(())
    })?;
    let scale = scale.ok_or(JsonError::Missing)?;
    Ok(Command::Speed { scale })
}

fn read_setpoint(cursor: &mut Cursor<'_>) -> Result<Setpoint, JsonError> {
    let (mut deadline, mut positions, mut held) = (None, None, false);
    cursor.object(|name, cursor| {
        match name {
            b"deadline_us" => deadline = Some(cursor.u64()?),
            b"positions" => positions = Some(read_floats(cursor)?),
            b"held" => held = cursor.bool()?,
            _ => return Err(JsonError::Unknown),
        }
        Ok(())
    })?;
    Ok(Setpoint {
        deadline_us: deadline.ok_or(JsonError::Missing)?,
        positions: positions.ok_or(JsonError::Missing)?,
        held,
    })
}

/// Numbers, one per joint.
pub(super) fn read_floats(cursor: &mut Cursor<'_>) -> Result<JointVec, JsonError> {
    let mut values = JointVec::new();
    cursor.array(|cursor| {
        let value = cursor.f32()?;
        values.push(value).map_err(|_| JsonError::TooLong)
    })?;
    Ok(values)
}
