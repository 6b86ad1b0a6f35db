package packer

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// argumentTable says for the builder and each of its blocks which arguments there are: a type, or "NAME block".
type argumentTable map[string]map[string]string

func readArguments(t *testing.T) argumentTable {
	t.Helper()
	text, err := os.ReadFile("testdata/packer-proxmox-iso-arguments.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	table := argumentTable{}
	for name, message := range raw {
		if strings.HasPrefix(name, "_") {
			continue
		}
		var block map[string]string
		if err := json.Unmarshal(message, &block); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		table[name] = block
	}
	return table
}

// types are those of the table.
var types = map[string]cty.Type{
	"String": cty.String, "Bool": cty.Bool, "Number": cty.Number, "List(String)": cty.List(cty.String), "Map(String)": cty.Map(cty.String),
}

func TestTheBuilderHasEveryArgumentAndBlock(t *testing.T) {
	table := readArguments(t)
	inEvery(t, func(t *testing.T, tpl *template) {
		scope := tpl.scope(given())
		source := tpl.only(tpl.body, "source")
		if strings.Join(source.Labels, " ") != "proxmox-iso runner" {
			t.Fatalf("source %q", source.Labels)
		}
		if n := table.check(tpl, "proxmox-iso", source.Body, scope); n < 40 {
			t.Errorf("%d arguments checked: the test looks in the wrong place", n)
		}
	})
}

// check compares a body with the table and counts its arguments.
func (a argumentTable) check(tpl *template, kind string, body *hclsyntax.Body, scope *hcl.EvalContext) int {
	tpl.t.Helper()
	n := 0
	for name, attribute := range body.Attributes {
		n++
		want, ok := types[a[kind][name]]
		if !ok {
			tpl.t.Errorf("%s: %s has no argument %s", attribute.SrcRange, kind, name)
			continue
		}
		// The builder's arguments may be null: then they are not set.
		value := tpl.evaluate(attribute.Expr, scope)
		if !value.IsNull() && !fits(value.Type(), want) {
			tpl.t.Errorf("%s: %s is %s, want %s", attribute.SrcRange, name, value.Type().FriendlyName(), want.FriendlyName())
		}
	}
	for _, block := range body.Blocks {
		inner, ok := strings.CutSuffix(a[kind][block.Type], " block")
		if !ok {
			tpl.t.Errorf("%s: %s has no block %s", block.TypeRange, kind, block.Type)
			continue
		}
		n += a.check(tpl, inner, block.Body, scope)
	}
	return n
}

// fits is stricter than Packer, which makes "4" of 4 and the other way round.
func fits(have, want cty.Type) bool {
	switch {
	case want.IsListType():
		if !have.IsTupleType() {
			return have.Equals(want)
		}
		for _, element := range have.TupleElementTypes() {
			if !element.Equals(want.ElementType()) {
				return false
			}
		}
		return true
	case want.IsMapType():
		for _, element := range have.AttributeTypes() {
			if !element.Equals(want.ElementType()) {
				return false
			}
		}
		return have.IsObjectType()
	default:
		return have.Equals(want)
	}
}

func TestTheMachineIsWhatRunnersNeed(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		scope := tpl.scope(given())
		source := tpl.only(tpl.body, "source")
		disk := tpl.only(source.Body, "disks")
		for _, c := range []struct {
			block *hclsyntax.Block
			name  string
			want  cty.Value
		}{
			{source, "qemu_agent", cty.True},
			{source, "cloud_init", cty.True},
			{source, "bios", cty.StringVal("seabios")},
			{source, "scsi_controller", cty.StringVal("virtio-scsi-single")},
			{source, "onboot", cty.False},
			{source, "insecure_skip_tls_verify", cty.False},
			{source, "template_name", cty.StringVal(strings.Split(tpl.path, "/")[3] + "-runner-template")},
			// The disk, then what is on ide2: the installer.
			{source, "boot", cty.StringVal("order=scsi0;ide2")},
			{disk, "type", cty.StringVal("scsi")},
			{tpl.only(source.Body, "boot_iso"), "type", cty.StringVal("ide")},
			{tpl.only(source.Body, "boot_iso"), "index", cty.StringVal("2")},
			{tpl.only(source.Body, "additional_iso_files"), "type", cty.StringVal("ide")},
			{tpl.only(source.Body, "additional_iso_files"), "index", cty.StringVal("3")},
			{disk, "discard", cty.True},
			{disk, "io_thread", cty.True},
			{tpl.only(source.Body, "boot_iso"), "unmount", cty.True},
			{tpl.only(source.Body, "additional_iso_files"), "unmount", cty.True},
			{tpl.only(source.Body, "additional_iso_files"), "cd_label", cty.StringVal("cidata")},
		} {
			if got := tpl.argument(c.block, c.name, scope); !got.RawEquals(c.want) {
				t.Errorf("%s is %#v, want %#v", c.name, got, c.want)
			}
		}
	})
}

func TestAnInstallerThatIsThereIsNotDownloaded(t *testing.T) {
	inEvery(t, func(t *testing.T, tpl *template) {
		values := given()
		values["iso_file"] = cty.StringVal("local:iso/ubuntu.iso")
		iso := tpl.only(tpl.only(tpl.body, "source").Body, "boot_iso")
		there, fetched := tpl.scope(values), tpl.scope(given())
		for _, name := range []string{"iso_url", "iso_checksum"} {
			if got := tpl.argument(iso, name, there); !got.IsNull() {
				t.Errorf("with iso_file %s is %#v, want none: the builder takes one of the two", name, got)
			}
			if got := tpl.argument(iso, name, fetched); got.IsNull() {
				t.Errorf("without iso_file there is no %s", name)
			}
		}
		if got := tpl.argument(iso, "iso_file", fetched); !got.IsNull() {
			t.Errorf("iso_file is %#v, want none", got)
		}
	})
}
