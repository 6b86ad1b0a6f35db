package cloudinit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
)

// An image is laid out as ECMA-119 (ISO 9660) has it: 16 sectors for the system, the volume descriptor, its end, the
// path table in two byte orders, the folders, the files. Names, modes and owners are Rock Ridge's (IEEE P1282), which
// the kernel prefers over the short names in capitals.
const (
	sector       = 2048
	firstSector  = 16
	maxISODepth  = 7 // folders below the root: ECMA-119 6.8.2.1 has 8 levels with it
	maxISOName   = 100
	maxShortName = 28
)

// isoNode is a file or a folder.
type isoNode struct {
	name     string // Rock Ridge's
	short    string // ECMA-119's
	dir      bool
	data     []byte
	children []*isoNode // sorted by short
	parent   *isoNode
	at       uint32 // first sector
	extent   uint32 // bytes
	number   int    // a folder's, in the path table
}

// makeISO makes an image of the files, given by path.
func makeISO(label string, files map[string][]byte) ([]byte, error) {
	root := &isoNode{dir: true, short: "\x00"}
	root.parent = root
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := root.add(name, files[name]); err != nil {
			return nil, fmt.Errorf("file %q: %w", name, err)
		}
	}
	root.shorten()

	folders := root.folders()
	table := pathTable(folders, binary.LittleEndian) // its length, before the sectors are known
	next := uint32(firstSector + 2)
	littleAt := next
	bigAt := littleAt + sectors(len(table))
	next = bigAt + sectors(len(table))
	for _, d := range folders {
		d.at, d.extent = next, uint32(len(d.records()))
		next += d.extent / sector
	}
	for _, d := range folders {
		for _, f := range d.children {
			if !f.dir {
				f.at, f.extent = next, uint32(len(f.data))
				next += sectors(len(f.data))
			}
		}
	}

	image := make([]byte, int64(next)*sector)
	put := func(at uint32, b []byte) { copy(image[int64(at)*sector:], b) }
	put(firstSector, volumeDescriptor(label, root, next, uint32(len(table)), littleAt, bigAt))
	put(firstSector+1, []byte("\xffCD001\x01"))
	put(littleAt, pathTable(folders, binary.LittleEndian))
	put(bigAt, pathTable(folders, binary.BigEndian))
	for _, d := range folders {
		put(d.at, d.records())
		for _, f := range d.children {
			if !f.dir {
				put(f.at, f.data)
			}
		}
	}
	return image, nil
}

func sectors(n int) uint32 { return uint32((n + sector - 1) / sector) }

// add puts a file into the tree.
func (d *isoNode) add(name string, data []byte) error {
	parts := strings.Split(name, "/")
	switch {
	case !fs.ValidPath(name) || name == ".":
		return errors.New("want a path like a/b, without dots alone between its slashes")
	case len(parts) > maxISODepth+1:
		return fmt.Errorf("more than %d folders deep", maxISODepth)
	case int64(len(data)) > math.MaxUint32:
		return errors.New("larger than ISO 9660 admits, 4 GiB")
	}
	for i, part := range parts {
		if len(part) > maxISOName || strings.ContainsRune(part, 0) {
			return fmt.Errorf("want names of at most %d bytes, without NUL", maxISOName)
		}
		at := slices.IndexFunc(d.children, func(c *isoNode) bool { return c.name == part })
		last := i == len(parts)-1
		switch {
		case at >= 0 && (last || !d.children[at].dir):
			return errors.New("there is a file and a folder of one name")
		case at < 0:
			at = len(d.children)
			d.children = append(d.children, &isoNode{name: part, dir: !last, parent: d})
		}
		d = d.children[at]
	}
	d.data = data
	return nil
}

// shorten gives everything below a folder its short name, and the order that those ask for (ECMA-119 9.3).
func (d *isoNode) shorten() {
	taken := map[string]bool{}
	for _, c := range d.children {
		base, ext := plain(c.name), ""
		if dot := strings.LastIndexByte(c.name, '.'); dot > 0 && !c.dir {
			base, ext = plain(c.name[:dot]), plain(c.name[dot+1:])
		}
		ext = ext[:min(len(ext), 8)]
		number := ""
		for n := 1; ; n++ {
			c.short = base[:min(len(base), maxShortName-len(ext)-len(number)-1)] + number
			if !c.dir {
				c.short += "." + ext + ";1"
			}
			if !taken[c.short] {
				break
			}
			number = fmt.Sprintf("_%d", n)
		}
		taken[c.short] = true
		c.shorten()
	}
	slices.SortFunc(d.children, func(a, b *isoNode) int { return strings.Compare(a.short, b.short) })
}

// plain is a name in capitals, digits, _ and the - of user-data, which a reader without Rock Ridge shows in small letters.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '_'
	}, name)
}

// folders lists the tree's folders level by level, as the path table has them, and numbers them from 1.
func (d *isoNode) folders() []*isoNode {
	list := []*isoNode{d}
	for i := 0; i < len(list); i++ {
		list[i].number = i + 1
		for _, c := range list[i].children {
			if c.dir {
				list = append(list, c)
			}
		}
	}
	return list
}

// pathTable is the table of all folders (ECMA-119 6.9).
func pathTable(folders []*isoNode, order binary.AppendByteOrder) []byte {
	var t []byte
	for _, d := range folders {
		t = append(t, byte(len(d.short)), 0)
		t = order.AppendUint32(t, d.at)
		t = order.AppendUint16(t, uint16(d.parent.number))
		t = append(t, d.short...)
		if len(d.short)%2 == 1 {
			t = append(t, 0)
		}
	}
	return t
}

// records is a folder's extent: whole sectors, no record in two of them (ECMA-119 6.8.1).
func (d *isoNode) records() []byte {
	var out []byte
	add := func(r []byte) {
		if left := sector - len(out)%sector; len(r) > left {
			out = append(out, make([]byte, left)...)
		}
		out = append(out, r...)
	}
	self := px(d)
	if d.parent == d {
		// The root's first record says that Rock Ridge is used (SUSP SP and ER).
		self = append([]byte("SP\x07\x01\xbe\xef\x00"), append(self, "ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"...)...)
	}
	add(record("\x00", d, self))
	add(record("\x01", d.parent, px(d.parent)))
	for _, c := range d.children {
		name := append([]byte{'N', 'M', byte(5 + len(c.name)), 1, 0}, c.name...)
		add(record(c.short, c, append(px(c), name...)))
	}
	return append(out, make([]byte, (sector-len(out)%sector)%sector)...)
}

// px is Rock Ridge's PX: mode, links, owner and group.
func px(n *isoNode) []byte {
	mode, links := uint32(0o100500), uint32(1)
	if n.dir {
		mode, links = 0o40500, 2
	}
	b := []byte("PX\x24\x01")
	for _, v := range []uint32{mode, links, 0, 0} {
		b = both32(b, v)
	}
	return b
}

// isoDate is the date of everything: the seed's own is its instance-id. 2000-01-01 00:00:00 UTC.
var isoDate = []byte{100, 1, 1, 0, 0, 0, 0}

// record is a directory record (ECMA-119 9.1).
func record(id string, n *isoNode, systemUse []byte) []byte {
	flags := byte(0)
	if n.dir {
		flags = 2
	}
	r := both32([]byte{0, 0}, n.at)
	r = both32(r, n.extent)
	r = append(r, isoDate...)
	r = append(r, flags, 0, 0)
	r = both16(r, 1)
	r = append(r, byte(len(id)))
	r = append(r, id...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r = append(r, systemUse...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r))
	return r
}

// volumeDescriptor is the primary one (ECMA-119 8.4).
func volumeDescriptor(label string, root *isoNode, total, tableSize, littleAt, bigAt uint32) []byte {
	var b bytes.Buffer
	text := func(s string, width int) { b.WriteString(s + strings.Repeat(" ", width-len(s))) }
	put := func(p []byte) { b.Write(p) }
	b.WriteString("\x01CD001\x01\x00")
	text("LINUX", 32)
	text(label, 32)
	put(make([]byte, 8))
	put(both32(nil, total))
	put(make([]byte, 32))
	put(both16(nil, 1)) // volumes in the set
	put(both16(nil, 1)) // this one's number
	put(both16(nil, sector))
	put(both32(nil, tableSize))
	put(binary.LittleEndian.AppendUint32(nil, littleAt))
	put(make([]byte, 4))
	put(binary.BigEndian.AppendUint32(nil, bigAt))
	put(make([]byte, 4))
	put(record("\x00", root, nil))
	text("", 128) // volume set
	text("", 128) // publisher
	text("", 128) // preparer
	text("MAYFLY", 128)
	text("", 3*37) // copyright, abstract, bibliography
	b.WriteString("2000010100000000\x002000010100000000\x000000000000000000\x002000010100000000\x00")
	b.WriteString("\x01\x00")
	put(make([]byte, sector-b.Len()))
	return b.Bytes()
}

// both16 and both32 write a number in both byte orders (ECMA-119 7.2.3 and 7.3.3).
func both16(b []byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, v), v)
}

func both32(b []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, v), v)
}
