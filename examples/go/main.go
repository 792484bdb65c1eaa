// Command send sends a message through Discord Proxy. The package discordproxy is generated, see README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.org/send/go/discordproxy"
)

func main() {
	target := os.Getenv("DISCORDPROXY_TARGET")
	if target == "" {
		target = "localhost:50051"
	}
	connection, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64*1024*1024)))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := discordproxy.NewDiscordApiClient(connection)
	response, err := client.SendChannelMessage(ctx, &discordproxy.SendChannelMessageRequest{
		ChannelId: 500000000000000001,
		Content:   "Hello from Go",
	})
	if err != nil {
		log.Fatal(err) // the details are a JSON object
	}
	fmt.Println(response.Message.Id)
}
