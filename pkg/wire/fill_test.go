package wire

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/bursarhq/bursar/pkg/quota"
)

// fillAll sets every field to a value that is not zero, but for flags.
func fillAll(v reflect.Value, flags bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillAll(v.Field(i), flags)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(v.Elem(), flags)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillAll(v.Index(0), flags)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillAll(key, flags)
		fillAll(value, flags)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(flags)
	case reflect.Int8: // a priority
		v.SetInt(int64(quota.PriorityHigh))
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint64:
		v.SetUint(3)
	default:
		panic(fmt.Sprintf("a kind of field that nothing on the wire has yet: %s", v.Kind()))
	}
}

// eachField visits the fields of a filled value that have no fields of their own, by name.
func eachField(v reflect.Value, name string, visit func(string, reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				eachField(v.Field(i), name+"."+f.Name, visit)
			}
		}
	case reflect.Pointer:
		eachField(v.Elem(), name, visit)
	case reflect.Slice:
		eachField(v.Index(0), name, visit)
	default:
		visit(name, v)
	}
}
