//! Rows as one parameter of a statement: `{rows $n: column TYPE, …}`. On PostgreSQL they are an array for each column,
//! on SQLite one JSON text, which is what each of them takes in fastest.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Database, Encode, Postgres, Sqlite, Type};
use uuid::Uuid;

/// Rows whose fields are named like the mark's columns; those that the mark does not name are left out.
#[derive(Debug)]
pub struct Rows<'a, T>(pub &'a [T]);

/// A value that a statement takes. [`Rows`] are several on PostgreSQL.
pub(crate) trait Bind<'t, DB: Database> {
    fn bind(self, arguments: &mut DB::Arguments, sql: &str) -> Result<(), BoxDynError>;
}

impl<'t, DB: Database, T: Encode<'t, DB> + Type<DB>> Bind<'t, DB> for T {
    fn bind(self, arguments: &mut DB::Arguments, _: &str) -> Result<(), BoxDynError> {
        arguments.add(self)
    }
}

impl<T: Serialize> Bind<'_, Sqlite> for Rows<'_, T> {
    fn bind(self, arguments: &mut SqliteArguments, _: &str) -> Result<(), BoxDynError> {
        arguments.add(serde_json::to_string(self.0)?)
    }
}

impl<T: Serialize> Bind<'_, Postgres> for Rows<'_, T> {
    fn bind(self, arguments: &mut PgArguments, sql: &str) -> Result<(), BoxDynError> {
        let mut columns: Vec<Column<'_>> =
            columns(sql).map(|(name, kind)| Column { name, values: Values::of(kind) }).collect();
        for (at, row) in self.0.iter().enumerate() {
            row.serialize(RowAt { columns: &mut columns, at, next: 0 })?;
        }
        for column in columns {
            column.values.add_to(arguments, self.0.len())?;
        }
        Ok(())
    }
}

/// The columns of the first mark of rows in a statement, each with its type.
pub(super) fn columns(sql: &str) -> impl Iterator<Item = (&str, &str)> {
    let body = sql.split_once("{rows ").and_then(|(_, rest)| rest.split_once('}')).map_or("", |(body, _)| body);
    let list = body.split_once(':').map_or("", |(_, list)| list);
    list.split(',').filter_map(|column| column.trim().split_once(' ')).map(|(name, kind)| (name, kind.trim()))
}

/// One column, and its values in all rows.
struct Column<'s> {
    name: &'s str,
    values: Values,
}

/// Of the mark's type, so that a statement is given the same types each time. What is none of these (JSON) is text,
/// which PostgreSQL casts.
enum Values {
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    Id(Vec<Option<Uuid>>),
}

/// A single value; `None` where it is null.
enum Value {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    Id(Uuid),
}

impl Values {
    fn of(kind: &str) -> Self {
        match kind {
            "BIGINT" => Self::Integer(Vec::new()),
            "DOUBLE PRECISION" => Self::Number(Vec::new()),
            "BOOLEAN" => Self::Flag(Vec::new()),
            "UUID" => Self::Id(Vec::new()),
            _ => Self::Text(Vec::new()),
        }
    }

    fn put(&mut self, at: usize, value: Value) -> Result<(), Odd> {
        fn set<T>(list: &mut Vec<Option<T>>, at: usize, value: T) {
            list.resize_with(at, || None);
            list.push(Some(value));
        }
        match (self, value) {
            (Self::Integer(list), Value::Integer(value)) => set(list, at, value),
            (Self::Number(list), Value::Number(value)) => set(list, at, value),
            (Self::Number(list), Value::Integer(value)) => set(list, at, value as f64),
            (Self::Flag(list), Value::Flag(value)) => set(list, at, value),
            (Self::Text(list), Value::Text(value)) => set(list, at, value),
            (Self::Id(list), Value::Id(value)) => set(list, at, value),
            _ => return Err(Odd::Said("a value is not of its column's type".to_owned())),
        }
        Ok(())
    }

    fn add_to(self, arguments: &mut PgArguments, count: usize) -> Result<(), BoxDynError> {
        // Rows without the field at the end.
        fn whole<T>(mut list: Vec<Option<T>>, count: usize) -> Vec<Option<T>> {
            list.resize_with(count, || None);
            list
        }
        match self {
            Self::Integer(list) => arguments.add(whole(list, count)),
            Self::Number(list) => arguments.add(whole(list, count)),
            Self::Flag(list) => arguments.add(whole(list, count)),
            Self::Text(list) => arguments.add(whole(list, count)),
            Self::Id(list) => arguments.add(whole(list, count)),
        }
    }
}

/// What cannot stand in a column.
#[derive(Debug, thiserror::Error)]
enum Odd {
    /// More than one value.
    #[error("rows for PostgreSQL: a list where a value belongs")]
    Several,
    #[error("rows for PostgreSQL: {0}")]
    Said(String),
}

impl ser::Error for Odd {
    fn custom<T: Display>(message: T) -> Self {
        Self::Said(message.to_string())
    }
}

/// Takes a row up.
struct RowAt<'c, 's> {
    columns: &'c mut [Column<'s>],
    at: usize,
    /// Where the next field's column is likely to be.
    next: usize,
}

impl RowAt<'_, '_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Odd> {
        let is_next = self.columns.get(self.next).is_some_and(|column| column.name == name);
        let found = if is_next { Some(self.next) } else { self.columns.iter().position(|column| column.name == name) };
        let Some(found) = found else { return Ok(()) };
        self.next = found + 1;
        let value = match value.serialize(One) {
            // Lists and maps are JSON.
            Err(Odd::Several) => {
                Some(Value::Text(serde_json::to_string(value).map_err(|error| Odd::Said(error.to_string()))?))
            }
            other => other?,
        };
        match value {
            Some(value) => self.columns[found].values.put(self.at, value),
            None => Ok(()),
        }
    }
}

impl ser::SerializeStruct for RowAt<'_, '_> {
    type Ok = ();
    type Error = Odd;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Odd> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Odd> {
        Ok(())
    }
}

/// A row whose fields are flattened into it is a map.
struct MapAt<'c, 's>(RowAt<'c, 's>, String);

impl ser::SerializeMap for MapAt<'_, '_> {
    type Ok = ();
    type Error = Odd;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Odd> {
        let Some(Value::Text(key)) = key.serialize(One)? else { return Err(Odd::Said("a name is no text".to_owned())) };
        self.1 = key;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Odd> {
        let name = std::mem::take(&mut self.1);
        self.0.field(&name, value)
    }

    fn end(self) -> Result<(), Odd> {
        Ok(())
    }
}

/// What stands in no row, and is no single value.
macro_rules! refuse {
    ($ok:ty: $($method:ident($($kind:ty),*);)*) => {
        $(fn $method(self, $(_: $kind),*) -> Result<$ok, Odd> { Err(Odd::Several) })*
    };
}

impl<'c, 's> Serializer for RowAt<'c, 's> {
    type Ok = ();
    type Error = Odd;
    type SerializeSeq = Impossible<(), Odd>;
    type SerializeTuple = Impossible<(), Odd>;
    type SerializeTupleStruct = Impossible<(), Odd>;
    type SerializeTupleVariant = Impossible<(), Odd>;
    type SerializeMap = MapAt<'c, 's>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Odd>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Odd> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapAt<'c, 's>, Odd> {
        Ok(MapAt(self, String::new()))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Odd> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Odd> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Odd> {
        Err(Odd::Several)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Odd> {
        Err(Odd::Several)
    }

    refuse! { (): serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
    serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64); serialize_f32(f32); serialize_f64(f64);
    serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]); serialize_none(); serialize_unit();
    serialize_unit_struct(&'static str); serialize_unit_variant(&'static str, u32, &'static str); }
    refuse! { Impossible<(), Odd>: serialize_tuple(usize); serialize_tuple_struct(&'static str, usize);
    serialize_tuple_variant(&'static str, u32, &'static str, usize);
    serialize_struct_variant(&'static str, u32, &'static str, usize); }
}

/// Takes a single value up; gives `None` for null.
struct One;

impl Serializer for One {
    type Ok = Option<Value>;
    type Error = Odd;
    type SerializeSeq = Impossible<Option<Value>, Odd>;
    type SerializeTuple = Impossible<Option<Value>, Odd>;
    type SerializeTupleStruct = Impossible<Option<Value>, Odd>;
    type SerializeTupleVariant = Impossible<Option<Value>, Odd>;
    type SerializeMap = Impossible<Option<Value>, Odd>;
    type SerializeStruct = Impossible<Option<Value>, Odd>;
    type SerializeStructVariant = Impossible<Option<Value>, Odd>;

    fn serialize_bool(self, value: bool) -> Result<Option<Value>, Odd> {
        Ok(Some(Value::Flag(value)))
    }

    fn serialize_i64(self, value: i64) -> Result<Option<Value>, Odd> {
        Ok(Some(Value::Integer(value)))
    }

    fn serialize_i32(self, value: i32) -> Result<Option<Value>, Odd> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<Option<Value>, Odd> {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<Option<Value>, Odd> {
        self.serialize_i64(i64::try_from(value).map_err(|_| Odd::Said("a number is too large".to_owned()))?)
    }

    fn serialize_f64(self, value: f64) -> Result<Option<Value>, Odd> {
        Ok(Some(Value::Number(value)))
    }

    fn serialize_str(self, value: &str) -> Result<Option<Value>, Odd> {
        Ok(Some(Value::Text(value.to_owned())))
    }

    /// Nothing else than an id is bytes.
    fn serialize_bytes(self, value: &[u8]) -> Result<Option<Value>, Odd> {
        Ok(Some(Value::Id(Uuid::from_slice(value).map_err(|_| Odd::Said("bytes that are no id".to_owned()))?)))
    }

    fn serialize_none(self) -> Result<Option<Value>, Odd> {
        Ok(None)
    }

    fn serialize_unit(self) -> Result<Option<Value>, Odd> {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Option<Value>, Odd> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Option<Value>, Odd> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, word: &'static str) -> Result<Option<Value>, Odd> {
        self.serialize_str(word)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Option<Value>, Odd> {
        Err(Odd::Several)
    }

    fn is_human_readable(&self) -> bool {
        // Ids as bytes.
        false
    }

    refuse! { Option<Value>: serialize_i8(i8); serialize_i16(i16); serialize_u8(u8); serialize_u16(u16); serialize_f32(f32);
    serialize_char(char); serialize_unit_struct(&'static str); }
    refuse! { Impossible<Option<Value>, Odd>: serialize_seq(Option<usize>); serialize_map(Option<usize>);
    serialize_struct(&'static str, usize); serialize_tuple(usize); serialize_tuple_struct(&'static str, usize);
    serialize_tuple_variant(&'static str, u32, &'static str, usize);
    serialize_struct_variant(&'static str, u32, &'static str, usize); }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        id: Uuid,
        number: Option<i64>,
        text: Option<&'static str>,
        flag: bool,
        list: Vec<i64>,
        never: Option<f64>,
        unnamed: i64,
    }

    #[test]
    fn each_column_of_the_mark_is_an_array_of_its_type() {
        let id = Uuid::from_u128(7);
        let row = Row { id, number: None, text: Some("x"), flag: true, list: vec![1, 2], never: None, unnamed: 1 };
        let rows = [
            Row { number: None, ..row },
            Row { id, number: Some(5), text: None, flag: false, list: Vec::new(), never: None, unnamed: 2 },
            Row { id, number: None, text: None, flag: true, list: vec![3], never: None, unnamed: 3 },
        ];
        let sql = "UPDATE x SET y = $2 FROM {rows $1: number BIGINT, id UUID, flag BOOLEAN, list JSONB, never DOUBLE PRECISION, text TEXT}";
        let kinds: Vec<_> = columns(sql).collect();
        assert_eq!((kinds.len(), kinds[0], kinds[3]), (6, ("number", "BIGINT"), ("list", "JSONB")));
        let mut columns: Vec<Column<'_>> =
            columns(sql).map(|(name, kind)| Column { name, values: Values::of(kind) }).collect();
        for (at, row) in rows.iter().enumerate() {
            row.serialize(RowAt { columns: &mut columns, at, next: 0 }).unwrap();
        }
        assert!(matches!(&columns[0].values, Values::Integer(list) if *list == [None, Some(5)]));
        assert!(matches!(&columns[1].values, Values::Id(list) if *list == [Some(id); 3]));
        assert!(matches!(&columns[2].values, Values::Flag(list) if *list == [Some(true), Some(false), Some(true)]));
        let lists = ["[1,2]", "[]", "[3]"].map(|text| Some(text.to_owned()));
        assert!(matches!(&columns[3].values, Values::Text(list) if *list == lists));
        assert!(matches!(&columns[4].values, Values::Number(list) if list.is_empty()));
        assert!(matches!(&columns[5].values, Values::Text(list) if *list == [Some("x".to_owned())]));
        let mut arguments = PgArguments::default();
        Bind::<Postgres>::bind(Rows(&rows), &mut arguments, sql).unwrap();
        assert_eq!(arguments.len(), 6);
    }
}
