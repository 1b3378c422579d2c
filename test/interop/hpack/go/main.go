// golang.org/x/net's HPACK on standard input and output, for tests: `encode` reads a list of stories and prints their blocks, `decode`
// reads stories of blocks and prints their lists. Texts have one character a byte.
package main

import (
	"encoding/hex"
	"encoding/json"
	"log"
	"os"
	"strconv"

	"golang.org/x/net/http2/hpack"
)

type story struct {
	Lists      [][]string        `json:"lists"`
	TableBytes map[string]uint32 `json:"tableBytes"`
	Blocks     []string          `json:"blocks"`
}

func main() {
	var stories []story
	if err := json.NewDecoder(os.Stdin).Decode(&stories); err != nil {
		log.Fatal(err)
	}
	var answers []any
	for _, each := range stories {
		if os.Args[1] == "encode" {
			answers = append(answers, encode(each))
		} else {
			answers = append(answers, decode(each))
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func encode(each story) []string {
	var block buffer
	encoder := hpack.NewEncoder(&block)
	var blocks []string
	for index, list := range each.Lists {
		if size, ok := each.TableBytes[strconv.Itoa(index)]; ok {
			encoder.SetMaxDynamicTableSize(size)
		}
		block = block[:0]
		for at := 0; at < len(list); at += 2 {
			field := hpack.HeaderField{Name: bytes(list[at]), Value: bytes(list[at+1]), Sensitive: list[at] == "authorization"}
			if err := encoder.WriteField(field); err != nil {
				log.Fatal(err)
			}
		}
		blocks = append(blocks, hex.EncodeToString(block))
	}
	return blocks
}

func decode(each story) [][]string {
	decoder := hpack.NewDecoder(4096, nil)
	var lists [][]string
	for index, block := range each.Blocks {
		if size, ok := each.TableBytes[strconv.Itoa(index)]; ok {
			decoder.SetAllowedMaxDynamicTableSize(size)
		}
		raw, err := hex.DecodeString(block)
		if err != nil {
			log.Fatal(err)
		}
		fields, err := decoder.DecodeFull(raw)
		if err != nil {
			log.Fatalf("block %d: %v", index, err)
		}
		list := []string{}
		for _, field := range fields {
			list = append(list, text(field.Name), text(field.Value))
		}
		lists = append(lists, list)
	}
	return lists
}

type buffer []byte

func (to *buffer) Write(more []byte) (int, error) {
	*to = append(*to, more...)
	return len(more), nil
}

func bytes(text string) string {
	var raw []byte
	for _, char := range text {
		raw = append(raw, byte(char))
	}
	return string(raw)
}

func text(raw string) string {
	var chars []rune
	for index := range len(raw) {
		chars = append(chars, rune(raw[index]))
	}
	return string(chars)
}
