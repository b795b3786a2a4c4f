package matrices

import (
	"encoding/json"
	"reflect"

	"lab/internal/lab"
)

// schemaVersion is the dialect of JSON Schema that editors understand.
const schemaVersion = "https://json-schema.org/draft/2020-12/schema"

// object is a part of a schema.
type object map[string]any

// Schema is the JSON Schema of experiment files. It is made from the same fields and the same table of keys that the
// reader uses.
func Schema() []byte {
	root := structSchema("", reflect.TypeFor[lab.Experiment]())
	root["$schema"], root["title"] = schemaVersion, "lab experiment"
	root["patternProperties"] = object{"^x-": object{}}
	root["anyOf"] = []object{{"required": []string{"extends"}}, {"required": []string{"server", "load"}}, {"required": []string{"sweep"}}}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("encode schema: " + err.Error()) // strings and maps only
	}
	return text
}

func structSchema(path string, t reflect.Type) object {
	properties := object{}
	for _, name := range fieldNames(t) {
		full := joined(path, name)
		property := special(full)
		if property == nil {
			field, _ := fieldNamed(reflect.New(t).Elem(), name)
			property = typeSchema(full, field.Type())
		}
		properties[name] = described(full, property)
	}
	o := object{"type": "object", "properties": properties, "additionalProperties": false}
	if t == reflect.TypeFor[lab.Dataset]() {
		o["allOf"] = kindSchemas(fieldNames(t))
	}
	return o
}

// described adds what a key is for, and that null is the same as leaving it out.
func described(path string, o object) object {
	if values, closed := o["enum"].([]any); closed {
		o["enum"] = append(values, nil)
	} else if types, ok := o["type"].(string); ok {
		o["type"] = []string{types, "null"}
	} else if types, ok := o["type"].([]string); ok {
		o["type"] = append(types, "null")
	} else if ways, ok := o["oneOf"].([]object); ok {
		o["oneOf"] = append(ways, object{"type": "null"})
	}
	o["description"] = keys[path].doc
	return o
}

// special are the keys whose form in the file is not that of a field.
func special(path string) object {
	switch path {
	case "extends":
		return object{"type": "string"}
	case "load":
		phase := structSchema("load", reflect.TypeFor[lab.Phase]())
		return object{"oneOf": []object{phase, {"type": "array", "items": phase, "minItems": 1}}}
	case "telemetry":
		return object{"oneOf": []object{structSchema(path, reflect.TypeFor[lab.Telemetry]()), {"enum": []any{"off", false}}}}
	case "sweep":
		return sweepSchema()
	case "slo":
		properties := object{}
		for _, name := range limits {
			properties[name] = described("slo."+name, durationSchema())
		}
		return object{"type": "object", "properties": properties, "additionalProperties": false}
	}
	return nil
}

// sweepSchema: what a value of an axis must be is seen when the cells are read.
func sweepSchema() object {
	path := object{"type": "string", "pattern": `^(server|load)(\[[0-9]+\])?\.`}
	properties := object{
		"link":    object{"type": "array", "items": object{"type": "array", "items": path, "minItems": 2}},
		"exclude": object{"type": "array", "items": object{"type": "object", "propertyNames": path, "minProperties": 1}},
		"repeats": object{"type": "integer", "minimum": 1, "maximum": 1000},
	}
	for name, property := range properties {
		properties[name] = described("sweep."+name, property.(object))
	}
	return object{
		"type": "object", "properties": properties, "additionalProperties": false,
		"patternProperties": object{path["pattern"].(string): object{"type": "array", "minItems": 1}},
	}
}

// number is a decimal number in a pattern.
const number = `([0-9]+\.?[0-9]*|\.[0-9]+)`

func durationSchema() object {
	return object{"type": "string", "pattern": `^\+?(` + number + `(ns|us|µs|μs|ms|s|m|h))+$`}
}

func typeSchema(path string, t reflect.Type) object {
	k := about(path)
	switch t {
	case reflect.TypeFor[lab.Duration]():
		return durationSchema()
	case reflect.TypeFor[lab.Bytes]():
		return object{"type": "string", "pattern": `^` + number + `(e[0-9]+)? *(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)$`}
	case reflect.TypeFor[lab.Number]():
		return object{"oneOf": []object{ranged(k, object{"type": "number"}), {"const": "inf"}}}
	}
	if k.words != nil {
		var values []any
		for _, word := range k.words {
			values = append(values, word)
		}
		return object{"enum": values}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(path, t.Elem())
	case reflect.Struct:
		return structSchema(path, t)
	case reflect.String:
		return object{"type": []string{"string", "number"}} // a version is 0.18
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Uint64:
		return ranged(k, object{"type": "integer"})
	case reflect.Float64:
		if k.share {
			return object{"type": "string", "pattern": `^` + number + ` *%$`}
		}
		return ranged(k, object{"type": "number"})
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return object{"type": "array", "items": structSchema(path, t.Elem()), "minItems": 1}
		}
		item := object{"type": []string{"string", "integer"}, "pattern": `^[^, ]+$`}
		several := object{"type": "array", "items": item}
		if !k.none {
			several["minItems"] = 1
		}
		return object{"oneOf": []object{item, several}}
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return object{"type": "object", "additionalProperties": object{"type": []string{"string", "number", "boolean", "null"}}}
		}
		return object{"type": "object"}
	}
	panic("no schema for " + path + " of type " + t.String()) // as in reader.number
}

// ranged says which numbers the reader takes.
func ranged(k key, o object) object {
	if k.zero {
		o["minimum"] = 0
	} else {
		o["exclusiveMinimum"] = 0
	}
	return o
}
